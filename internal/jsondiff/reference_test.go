package jsondiff

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// value is a decoded document: the slow and obvious reference that the
// comparison is held to. It is read with encoding/json.
type value struct {
	kind       byte // '{' '[' '"' '0' 't' 'f' 'n'
	text       string
	number     *big.Rat
	names      []string // of an object's members, as they come
	children   []*value
	start, end int
}

// decode returns nil for what encoding/json cannot represent exactly: lone
// surrogates, bytes that are not UTF-8 and numbers with enormous exponents.
func decode(doc []byte) *value {
	if !json.Valid(doc) {
		return nil
	}
	d := &decoder{doc: doc, Decoder: json.NewDecoder(bytes.NewReader(doc))}
	d.UseNumber()
	v := d.value(d.next())
	if d.lossy {
		return nil
	}
	return v
}

type decoder struct {
	*json.Decoder
	doc   []byte
	start int
	lossy bool
}

// next returns the next token and notes where it starts.
func (d *decoder) next() json.Token {
	d.start = int(d.InputOffset())
	for d.start < len(d.doc) && strings.IndexByte(" \t\r\n,:", d.doc[d.start]) >= 0 {
		d.start++
	}
	t, err := d.Token()
	if err != nil {
		panic(err)
	}
	if s, ok := t.(string); ok && strings.ContainsRune(s, '\ufffd') {
		d.lossy = true
	}
	return t
}

func (d *decoder) value(t json.Token) *value {
	v := &value{start: d.start, kind: d.doc[d.start]}
	switch t := t.(type) {
	case string:
		v.text = t
	case json.Number:
		v.kind, v.text = '0', t.String()
		if _, exp, ok := strings.Cut(strings.ToLower(v.text), "e"); ok {
			if n, err := strconv.Atoi(exp); err != nil || n < -1000 || n > 1000 {
				d.lossy = true
				break
			}
		}
		v.number, _ = new(big.Rat).SetString(v.text)
	case json.Delim:
		for d.More() {
			child := d.next()
			if v.kind == '{' {
				v.names = append(v.names, child.(string))
				child = d.next()
			}
			v.children = append(v.children, d.value(child))
		}
		d.next()
	}
	v.end = int(d.InputOffset())
	return v
}

// equals compares exactly.
func (v *value) equals(w *value) bool {
	if v.kind != w.kind || len(v.children) != len(w.children) {
		return false
	}
	switch v.kind {
	case '"':
		return v.text == w.text
	case '0':
		return v.number.Cmp(w.number) == 0
	case '[':
		for i := range v.children {
			if !v.children[i].equals(w.children[i]) {
				return false
			}
		}
	case '{':
		mine, theirs := v.members(), w.members()
		if len(mine) != len(theirs) {
			return false
		}
		for name, list := range mine {
			if len(list) != len(theirs[name]) {
				return false
			}
			for i := range list {
				if !list[i].equals(theirs[name][i]) {
					return false
				}
			}
		}
	}
	return true
}

// members returns the values of each name, in their order.
func (v *value) members() map[string][]*value {
	m := make(map[string][]*value)
	for i, name := range v.names {
		m[name] = append(m[name], v.children[i])
	}
	return m
}

// permutes reports whether two arrays hold equal elements in any order.
func (v *value) permutes(w *value) bool {
	if len(v.children) != len(w.children) {
		return false
	}
	used := make([]bool, len(w.children))
next:
	for _, c := range v.children {
		for i, d := range w.children {
			if !used[i] && c.equals(d) {
				used[i] = true
				continue next
			}
		}
		return false
	}
	return true
}

// at returns the value with that span and its pointer.
func (v *value) at(span Span, path string) (*value, string) {
	if v.start == span.Start && v.end == span.End {
		return v, path
	}
	for i, c := range v.children {
		if c.start <= span.Start && span.End <= c.end {
			token := strconv.Itoa(i)
			if v.kind == '{' {
				token = strings.NewReplacer("~", "~0", "/", "~1").Replace(v.names[i])
			}
			return c.at(span, path+"/"+token)
		}
	}
	return nil, ""
}
