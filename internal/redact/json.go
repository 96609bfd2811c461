// Package redact replaces values inside encoded data and leaves every other byte as
// it is.
package redact

import (
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// JSON replaces every value of doc that a path of set selects by replacement, itself
// a JSON text. Where a member occurs several times every occurrence is replaced. It
// returns doc itself where nothing was selected. Doc is read to its last byte: one
// that is not JSON, or nested too deep, is an error.
func JSON(doc []byte, set *jsonpath.Set, replacement []byte) ([]byte, error) {
	w := walker{doc: doc, set: set}
	if set.Deferred() {
		located, err := set.Locate(doc, 0)
		if err != nil {
			return nil, err
		}
		w.located = located
	}
	start := jsonscan.Space(doc, 0)
	end, err := w.walk(start, replacement)
	if err == nil {
		err = jsonscan.End(doc, end)
	}
	if err != nil {
		return nil, err
	}
	if w.out == nil {
		return doc, nil
	}
	return append(w.out, doc[w.copied:]...), nil
}

type walker struct {
	doc     []byte
	set     *jsonpath.Set
	located jsonpath.Located
	out     []byte // doc up to copied, with replacements; nil while there are none
	copied  int
	name    []byte // scratch
}

// level is an open container.
type level struct {
	cursor jsonscan.Cursor
	state  jsonpath.State
}

// walk masks the value that starts at i and returns where it ends.
func (w *walker) walk(i int, replacement []byte) (end int, err error) {
	var levels []level
	state := w.set.Start()
	for {
		end, open, err := w.value(i, len(levels), state, replacement)
		if err != nil {
			return 0, err
		}
		if open {
			levels = append(levels, level{jsonscan.Open(w.doc, i), state})
		} else if len(levels) == 0 {
			return end, nil
		} else {
			levels[len(levels)-1].cursor.End = end
		}
		for {
			top := &levels[len(levels)-1]
			if top.cursor.Next(w.doc) {
				i, state = top.cursor.Start, w.step(top)
				break
			}
			if top.cursor.Err != nil {
				return 0, top.cursor.Err
			}
			end := top.cursor.Close
			if levels = levels[:len(levels)-1]; len(levels) == 0 {
				return end, nil
			}
			levels[len(levels)-1].cursor.End = end
		}
	}
}

// value masks or skips the value at i, or says that it must be opened.
func (w *walker) value(i, depth int, state jsonpath.State, replacement []byte) (end int, open bool, err error) {
	hit := len(state.IDs()) > 0 || len(w.located.IDs(i)) > 0
	if i < len(w.doc) && (w.doc[i] == '{' || w.doc[i] == '[') {
		if depth == jsonscan.DefaultMaxDepth {
			return 0, false, jsonscan.TooDeep(i, jsonscan.DefaultMaxDepth)
		}
		if !hit && (!state.Dead() || w.set.Deferred()) {
			return 0, true, nil
		}
	}
	end, err = jsonscan.Value(w.doc, i, jsonscan.DefaultMaxDepth-depth)
	if hit && err == nil {
		if w.out == nil {
			w.out = make([]byte, 0, len(w.doc)+8*len(replacement))
		}
		w.out = append(append(w.out, w.doc[w.copied:i]...), replacement...)
		w.copied = end
	}
	return end, false, err
}

// step is the state at the member or element that top stands at.
func (w *walker) step(top *level) jsonpath.State {
	if top.state.Dead() {
		return top.state
	}
	if !top.cursor.Object() {
		return w.set.Element(top.state, top.cursor.Index)
	}
	w.name = jsonscan.AppendUnquote(w.name[:0], w.doc[top.cursor.Name:top.cursor.NameEnd])
	return w.set.Member(top.state, w.name)
}
