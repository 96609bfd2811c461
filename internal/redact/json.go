package redact

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

const eventStream = "text/event-stream"

var errStray = errors.New("a stream of events with a line that is no field of an event")

// MaskJSON masks what the paths select in JSON.
func MaskJSON(paths ...string) *Rule {
	r := &Rule{Option: "MaskJSON", Given: slices.Clone(paths), values: true, reads: true, covers: mayBeJSON}
	parsed := make([]*jsonpath.Path, 0, len(paths))
	for _, path := range paths {
		p, err := jsonpath.Parse(path)
		if err != nil {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskJSON: %w", err))
			continue
		}
		parsed = append(parsed, p.Fold())
	}
	set := jsonpath.NewSet(parsed...)
	r.Found = func(i int) uint64 { return set.Found(i) }
	r.mask = func(m *message.Message, with Replacement) error {
		walk := Walk{
			Looks: func(l Leaf) bool { return l.Type == eventStream || mayBeJSON(l) },
			Leaf: func(l Leaf) ([]byte, error) {
				switch {
				case l.Kind != media.Lines || LooksLikeJSON(l.Text):
				case l.Stray:
					return nil, errStray
				default: // of a stream, as a rule a word
					return l.Text, Unread(l.Text, set)
				}
				return JSON(l.Text, set, with)
			},
		}
		return walk.message(r.Option, m)
	}
	return r
}

// mayBeJSON reports whether MaskJSON looks into a piece of a body.
func mayBeJSON(l Leaf) bool {
	switch l.Kind {
	case media.JSON, media.Records, media.Events:
		return true
	}
	return len(l.Text) == 0 && l.Kind <= media.Lines || LooksLikeJSON(l.Text) ||
		l.Coding != "" && l.Kind == media.Lines
}

// JSON replaces every value of doc that a path of set selects. Where a member occurs
// several times every occurrence is replaced. Masked takes the place of a value of any
// type. Tokens take the places of the strings and numbers in it, null stays, and true
// becomes false: its shape survives. A string that holds an object or array is walked as if
// it were that, but not by paths that the set defers. It returns doc itself where nothing
// was selected.
// Doc is read to its last byte: one that is not JSON, or nested too deep, is an error.
func JSON(doc []byte, set *jsonpath.Set, r Replacement) ([]byte, error) {
	w := walker{edit: edit{doc: doc}, set: set, r: r}
	if set.Deferred() {
		located, err := set.Locate(doc, 0)
		if err != nil {
			return nil, err
		}
		w.located, w.deferred = located, true
	}
	end, err := w.root(jsonscan.Space(doc, 0))
	if err == nil {
		err = jsonscan.End(doc, end)
	}
	if err != nil {
		return nil, err
	}
	return w.done(), nil
}

type walker struct {
	edit
	r        Replacement
	set      *jsonpath.Set
	located  jsonpath.Located
	deferred bool
	inside   int    // strings, one in the other, that doc was in
	name     []byte // scratch
}

// level is an open container.
type level struct {
	cursor jsonscan.Cursor
	state  jsonpath.State
	kept   bool // one of its members or elements
	gap    bool // all so far were dropped: up to the next one
}

// hit reports whether a path selects the value at that offset, and counts the paths that do.
func (w *walker) hit(state jsonpath.State, at int) bool {
	ids := state.IDs()
	w.set.Count(ids)
	if !w.deferred {
		return len(ids) > 0
	}
	located := w.located.IDs(at)
	w.set.Count(located)
	return len(ids) > 0 || len(located) > 0
}

// root masks the document, which starts at i, and returns where it ends.
func (w *walker) root(i int) (end int, err error) {
	state := w.set.Start()
	if w.hit(state, i) {
		if end, err = jsonscan.Value(w.doc, i, 0); err != nil {
			return 0, err
		}
		if w.r.drop {
			w.replace(i, end, "null") // JSON stays JSON
		} else {
			w.value(i, end)
		}
		return end, nil
	}
	if i >= len(w.doc) || w.doc[i] != '{' && w.doc[i] != '[' {
		return w.scalar(i, state)
	}
	return w.walk(i, state)
}

// scalar masks what is in the string at i, if it holds an object or array, and returns where
// that string, or another scalar, ends.
func (w *walker) scalar(i int, state jsonpath.State) (end int, err error) {
	end, err = jsonscan.Scalar(w.doc, i)
	if err != nil || w.doc[i] != '"' || !mayNest(w.doc[i+1:end-1]) {
		return end, err
	}
	doc := jsonscan.AppendUnquote(nil, w.doc[i:end])
	if !holdsJSON(doc, w.inside) {
		return end, Unread(doc, w.set)
	}
	in := walker{edit: edit{doc: doc}, set: w.set, r: w.r, inside: w.inside + 1}
	if _, err := in.walk(jsonscan.Space(doc, 0), state); err != nil {
		return 0, err
	}
	if in.out != nil {
		w.replace(i, end, quote(string(in.done())))
	}
	return end, nil
}

// mayNest reports whether the text between the quotes of a string may hold an object or an
// array: each has quotes inside, which are escaped, or is an array without strings.
func mayNest(inner []byte) bool {
	return bytes.IndexByte(inner, '\\') >= 0 || len(inner) > 0 && bytes.IndexByte([]byte("{[ \xef"), inner[0]) >= 0
}

var errNested = errors.New("text that holds members a path may be about, and is not JSON")

// Unread returns an error where text, which is not read as JSON, may hold what the paths of
// set select: JSON that is broken, or follows other text, or is inside of too many strings.
func Unread(text []byte, set *jsonpath.Set) error {
	if set.Hints(text) || set.Selects() && LooksLikeJSON(text) {
		return errNested
	}
	return nil
}

// walk masks what is in the container at i.
func (w *walker) walk(i int, state jsonpath.State) (end int, err error) {
	var room [16]level
	levels := append(room[:0], level{cursor: jsonscan.Open(w.doc, i), state: state})
	levels[0].cursor.MaxDepth = jsonscan.DefaultMaxDepth - 1
	for {
		top := &levels[len(levels)-1]
		if !top.cursor.Next(w.doc) {
			if top.cursor.Err != nil {
				return 0, top.cursor.Err
			}
			end := top.cursor.Close
			if levels = levels[:len(levels)-1]; len(levels) == 0 {
				return end, nil
			}
			levels[len(levels)-1].cursor.End = end
			continue
		}
		i, state := top.cursor.Start, w.step(top)
		left := top.cursor.MaxDepth // levels that may still open; as a parameter 0 is the default
		container := w.doc[i] == '{' || w.doc[i] == '['
		if container && left == 0 {
			return 0, jsonscan.TooDeep(i, jsonscan.DefaultMaxDepth)
		}
		if w.hit(state, i) {
			if top.cursor.End, err = jsonscan.Value(w.doc, i, left); err != nil {
				return 0, err
			}
			if w.r.drop {
				w.drop(top)
			} else {
				w.value(i, top.cursor.End)
			}
			continue
		}
		w.stays(top)
		switch {
		case container && (!state.Dead() || w.deferred):
			levels = append(levels, level{cursor: jsonscan.Open(w.doc, i), state: state})
			levels[len(levels)-1].cursor.MaxDepth = left - 1
		case !container && !state.Dead():
			if top.cursor.End, err = w.scalar(i, state); err != nil {
				return 0, err
			}
		}
	}
}

// step is the state at the member or element that top stands at.
func (w *walker) step(top *level) jsonpath.State {
	if top.state.Dead() {
		return top.state
	}
	if !top.cursor.Object() {
		return w.set.Element(top.state, top.cursor.Index)
	}
	name := w.doc[top.cursor.Name:top.cursor.NameEnd]
	if !escaped(name) {
		return w.set.Member(top.state, name[1:len(name)-1])
	}
	w.name = jsonscan.AppendUnquote(w.name[:0], name)
	return w.set.Member(top.state, w.name)
}

// drop removes the member or element of top, and one of the commas beside it.
func (w *walker) drop(top *level) {
	start := place(top)
	switch {
	case top.kept:
		start = bytes.LastIndexByte(w.doc[:start], ',')
		w.replace(start, top.cursor.End, "")
	case top.gap:
		w.copied = top.cursor.End
	default:
		top.gap = true
		w.replace(start, top.cursor.End, "")
	}
}

// stays notes that the member or element of top is not dropped.
func (w *walker) stays(top *level) {
	top.kept = true
	if top.gap {
		top.gap, w.copied = false, place(top)
	}
}

// place is where the member or element of top begins.
func place(top *level) int {
	if top.cursor.Object() {
		return top.cursor.Name
	}
	return top.cursor.Start
}

// value masks the value doc[start:end].
func (w *walker) value(start, end int) {
	if w.r.token == nil {
		w.replace(start, end, `"`+Masked+`"`)
		return
	}
	for s := range scalars(w.doc[:end], start) {
		switch raw := w.doc[s.start:s.end]; {
		case s.name, raw[0] == 'n', raw[0] == 'f':
		case raw[0] == 't':
			w.replace(s.start, s.end, "false")
		case raw[0] == '"':
			w.replace(s.start, s.end, quote(w.r.token.Text(text(raw))))
		default:
			w.replace(s.start, s.end, w.r.token.Number(string(raw)))
		}
	}
}

// scalar is where a string, a number, a literal or the name of a member is.
type scalar struct {
	start, end int
	name       bool
}

// scalars yields those of doc from at on, which is valid.
func scalars(doc []byte, at int) func(yield func(scalar) bool) {
	return func(yield func(scalar) bool) {
		for at < len(doc) {
			switch c := doc[at]; {
			case c <= ' ', c == '{', c == '}', c == '[', c == ']', c == ',', c == ':':
				at++
				continue
			}
			s := scalar{start: at}
			s.end, _ = jsonscan.Scalar(doc, at)
			at = jsonscan.Space(doc, s.end)
			s.name = at < len(doc) && doc[at] == ':'
			if !yield(s) {
				return
			}
		}
	}
}

// text is the value of a string literal.
func text(literal []byte) string {
	if !escaped(literal) {
		return string(literal[1 : len(literal)-1])
	}
	return string(jsonscan.AppendUnquote(nil, literal))
}

func escaped(text []byte) bool { return bytes.IndexByte(text, '\\') >= 0 }

// LooksLikeJSON reports whether a body that is called something else may hold members that
// a rule is about: whether it begins like an object or an array.
func LooksLikeJSON(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n\x00\x1e\xef\xbb\xbf\xff\xfe") // white space, RS, byte order marks, UTF-16
	if len(text) == 0 || text[0] != '[' {
		return len(text) > 0 && text[0] == '{'
	}
	text = bytes.TrimLeft(text[1:], " \t\r\n\x00")
	if len(text) == 0 || bytes.IndexByte([]byte(`{["-0123456789]`), text[0]) >= 0 {
		return true
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return true
		}
	}
	return false // such as [DONE], [info] ...
}

// LooksLikeXML reports whether a body that is called something else says that it is XML.
func LooksLikeXML(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n\xef\xbb\xbf")
	return len(text) > 5 && bytes.EqualFold(text[:5], []byte("<?xml"))
}

// LooksLikeForm reports whether a body that is called a form is one, and no document that a
// client sent under the type that its library gives to everything: JSON and XML begin in a
// way in which no form does, and in other text there are names without values that hold what
// forms escape.
func LooksLikeForm(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n\xef\xbb\xbf")
	if LooksLikeJSON(body) || len(text) > 0 && text[0] == '<' {
		return false
	}
	for f := range media.Fields(text) {
		if f.Name == f.End && bytes.ContainsFunc(bytes.TrimRight(text[f.Start:f.End], "\r\n"), escapedInForms) {
			return false
		}
	}
	return true
}

// escapedInForms reports whether forms escape a character (URL Standard section 5.2), but for
// brackets, which many clients leave as they are.
func escapedInForms(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune("*-._+%[]", c)
}
