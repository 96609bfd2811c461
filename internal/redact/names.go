package redact

import (
	"bytes"
	"strings"
	"sync/atomic"
	"unicode"
)

// Names are names of fields, parameters, cookies or elements, in any case, each with the
// number of times that it was found.
type Names map[string]*atomic.Uint64

// NewNames returns the set of names.
func NewNames(names ...string) Names {
	n := make(Names, len(names))
	for _, name := range names {
		n[strings.ToLower(name)] = new(atomic.Uint64)
	}
	return n
}

// Has reports whether name is one of n, and counts that it was found.
func (n Names) Has(name string) bool {
	found, ok := n[strings.ToLower(name)]
	if ok {
		found.Add(1)
	}
	return ok
}

// Found returns how often name was found.
func (n Names) Found(name string) uint64 { return n[strings.ToLower(name)].Load() }

// HasField reports whether the name of a field is one of n, or has one of them in front of a
// bracket, as email[] and email[home] have: PHP, Rails and qs read these as values of email.
func (n Names) HasField(name string) bool {
	base, _, bracketed := strings.Cut(name, "[")
	return n.Has(name) || bracketed && n.Has(base)
}

// hinted reports whether text may hold an element or attribute with one of the names: one
// stands there like that of a tag, as it is or escaped, or before an equals sign.
func (n Names) hinted(text []byte) bool {
	if bytes.IndexByte(text, '<') < 0 && !bytes.Contains(text, []byte("lt;")) && bytes.IndexByte(text, '&') < 0 {
		return false
	}
	lower := bytes.ToLower(text)
	for name := range n {
		for rest := lower; ; {
			i := bytes.Index(rest, []byte(name))
			if i < 0 || name == "" {
				break
			}
			behind := bytes.TrimLeft(rest[i+len(name):], " \t\r\n")
			space := len(behind) < len(rest)-i-len(name)
			if i > 0 && strings.IndexByte("</:;?!", rest[i-1]) >= 0 && (len(behind) == 0 || space || strings.IndexByte("/>&=", behind[0]) >= 0) {
				return true
			}
			if i > 0 && strings.IndexByte(" \t\r\n\"':", rest[i-1]) >= 0 && len(behind) > 0 && behind[0] == '=' {
				return true
			}
			rest = rest[i+1:]
		}
	}
	return false
}

// AddWords adds to words those of the rule of a mask, in lower case. It adds nothing for rules of
// other options than masks, nor for patterns of values.
func AddWords(words map[string]bool, option, rule string) {
	if option == "MaskPatterns" || !strings.HasPrefix(option, "Mask") {
		return
	}
	for word := range strings.FieldsFuncSeq(strings.ToLower(rule), func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '-'
	}) {
		words[word] = true
	}
}
