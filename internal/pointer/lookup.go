package pointer

import (
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// Lookup returns the value that pointer (RFC 6901) leads to in doc, or nil if there is none or
// doc is not JSON. Of several members with one name it takes the first.
func Lookup(doc []byte, pointer string) []byte {
	if jsonscan.Valid(doc, 0) != nil {
		return nil
	}
	at := jsonscan.Space(doc, 0)
	for pointer != "" {
		if pointer[0] != '/' || doc[at] != '{' && doc[at] != '[' {
			return nil
		}
		token, rest, more := strings.Cut(pointer[1:], "/")
		if at = child(doc, at, Unescape(token)); at < 0 {
			return nil
		}
		if pointer = ""; more {
			pointer = "/" + rest
		}
	}
	end, err := jsonscan.Value(doc, at, 0)
	if err != nil {
		return nil
	}
	return doc[at:end]
}

// child returns where the member or element of the container at at starts, or -1.
func child(doc []byte, at int, token string) int {
	var name []byte
	for c := jsonscan.Open(doc, at); c.Next(doc); {
		if c.Object() {
			name = jsonscan.AppendUnquote(name[:0], doc[c.Name:c.NameEnd])
			if string(name) == token {
				return c.Start
			}
		} else if strconv.Itoa(c.Index) == token {
			return c.Start
		}
	}
	return -1
}
