package typed

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/pointer"
)

// root is the path of a body.
const root = "/body"

// maxDiffs is how many differences a comparison finds.
const maxDiffs = 10_000

// maxSteps is how many steps go-cmp may take before a comparison is given up. Equal GeoJSON,
// four slices deep, takes six for each byte of both bodies.
func maxSteps(p, s []byte) int { return 50_000 + 10*(len(p)+len(s)) }

// finder collects the differences of one comparison: go-cmp tells it of every step it
// takes. It is a cmp.Reporter.
type finder struct {
	untyped         shadow.Comparator
	primary, shadow []byte

	path  cmp.Path // where go-cmp says it is, which it does only on its last pass
	last  cmp.Path // where it really was last, for when it panics
	steps int      // left

	read  bool // the bodies were read as JSON, for the paths
	json  bool // both are
	trees [2]node
	found map[string]int // by path
	diffs []shadow.Diff
	more  bool // there are more
}

// What ends a comparison half-way.
var (
	errEnough     = errors.New("as many differences as anybody wants")
	errUnfinished = errors.New("too many steps")
)

// guard runs compare and makes a difference of its panic.
func (f *finder) guard(compare func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		switch v := recover(); v {
		case any(errEnough):
		case any(errUnfinished):
			f.diffs = append(f.diffs, shadow.Diff{Path: root, Kind: shadow.Changed, Class: ClassUnfinished,
				Primary: text("%v", v), Shadow: text("%v", v)})
		default:
			at, _, _ := f.locate(f.last)
			f.diffs = append(f.diffs, shadow.Diff{Path: at.path, Kind: shadow.Changed, Class: ClassPanic,
				Primary: text("panic: %v", v), Shadow: text("panic: %v", v)})
		}
	}()
	compare()
	returned = true
}

// visit is told of every step, also of those that only try how two elements would go
// together. It filters nothing.
func (f *finder) visit(p cmp.Path) bool {
	f.last = p
	if f.steps--; f.steps < 0 {
		panic(errUnfinished)
	}
	return false
}

// PushStep goes one step down.
func (f *finder) PushStep(s cmp.PathStep) { f.path = append(f.path, s) }

// PopStep goes one step up.
func (f *finder) PopStep() { f.path = f.path[:len(f.path)-1] }

// Report is told of the values at the end of the path.
func (f *finder) Report(r cmp.Result) {
	if r.Equal() {
		return
	}
	at, i, j := f.locate(f.path)
	switch {
	case i == j:
		f.add(at)
	default: // an element that is on one side only, or elsewhere on the other
		if i >= 0 {
			f.add(at.element(i, -1))
		}
		if j >= 0 {
			f.add(at.element(-1, j))
		}
	}
}

// place is a place in the two answers, and what is there.
type place struct {
	path  string
	sides [2]node
	kind  shadow.DiffKind // where it is known without the values
}

// node is a value in the JSON of one answer.
type node struct {
	value any
	there bool
}

// locate follows a path of go-cmp through the JSON, as far as it leads. Where the path goes
// through an element that has not the same index on both sides it stops before it and
// returns the two indexes, of which one may be -1; else they are equal.
func (f *finder) locate(path cmp.Path) (at place, i, j int) {
	f.parse()
	at = place{path: root, sides: f.trees, kind: shadow.Changed}
	for k := 1; k < len(path); k++ {
		next := at
		switch step := path[k].(type) {
		case cmp.Transform:
			return at, 0, 0
		case cmp.StructField:
			name, named := memberName(path[k-1].Type().Field(step.Index()))
			if !named {
				continue
			}
			next = at.member(name, strings.EqualFold)
		case cmp.MapIndex:
			next = at.member(keyName(step.Key()), exactly)
			next.kind = kindOf(step)
		case cmp.SliceIndex:
			i, j := step.SplitKeys()
			next = at.element(i, j)
			if i != j && f.leads(next) {
				return at, i, j
			}
		}
		if !f.leads(next) {
			return at, 0, 0
		}
		at = next
	}
	return at, 0, 0
}

// leads reports whether there is anything at a place, as far as that can be said.
func (f *finder) leads(at place) bool { return !f.json || at.sides[0].there || at.sides[1].there }

func exactly(a, b string) bool { return a == b }

// parse reads the bodies as JSON.
func (f *finder) parse() {
	if f.read {
		return
	}
	f.read = true
	p, okP := parse(f.primary)
	s, okS := parse(f.shadow)
	if f.json = okP && okS; f.json {
		f.trees = [2]node{p, s}
	}
}

func parse(body []byte) (n node, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&n.value) != nil {
		return node{}, false
	}
	n.there = true
	_, err := d.Token()
	return n, err == io.EOF
}

// member is the place of a member of one of the names that same accepts, best of name
// itself.
func (at place) member(name string, same func(a, b string) bool) place {
	spelt := name
	for k := 1; k >= 0; k-- { // the primary's spelling has the last word
		object, _ := at.sides[k].value.(map[string]any)
		at.sides[k] = node{}
		key, ok := name, false
		if _, ok = object[name]; !ok {
			for other := range object {
				if same(other, name) && (!ok || other < key) {
					key, ok = other, true
				}
			}
		}
		if ok {
			spelt, at.sides[k] = key, node{object[key], true}
		}
	}
	at.path += "/" + pointer.Escape(spelt)
	at.kind = shadow.Changed
	return at
}

// element is the place of the elements at i and j, of which one may be -1.
func (at place) element(i, j int) place {
	index := i
	at.kind = shadow.Changed
	switch {
	case j < 0:
		at.kind = shadow.Missing
	case i < 0:
		at.kind, index = shadow.Extra, j
	}
	at.path += "/" + strconv.Itoa(index)
	for k, index := range [...]int{i, j} {
		array, _ := at.sides[k].value.([]any)
		at.sides[k] = node{}
		if index >= 0 && index < len(array) {
			at.sides[k] = node{array[index], true}
		}
	}
	return at
}

// kindOf is how the two values of a step differ, as far as Go can say.
func kindOf(step cmp.PathStep) shadow.DiffKind {
	switch x, y := step.Values(); {
	case !y.IsValid():
		return shadow.Missing
	case !x.IsValid():
		return shadow.Extra
	}
	return shadow.Changed
}

// add adds the difference at a place, unless it is there.
func (f *finder) add(at place) {
	d := shadow.Diff{Path: at.path, Kind: at.kind, Primary: at.sides[0].raw(), Shadow: at.sides[1].raw()}
	switch {
	case at.sides[0].there && at.sides[1].there:
		d.Kind, d.Class = f.describe(d.Primary, d.Shadow)
	case at.sides[0].there:
		d.Kind = shadow.Missing
	case at.sides[1].there:
		d.Kind = shadow.Extra
	}
	if k, ok := f.found[d.Path]; ok {
		f.merge(&f.diffs[k], d)
		return
	}
	if len(f.diffs) == maxDiffs {
		f.more = true
		panic(errEnough)
	}
	if f.found == nil {
		f.found = map[string]int{}
	}
	f.found[d.Path] = len(f.diffs)
	f.diffs = append(f.diffs, d)
}

// merge makes one difference of an element that is Missing and another that is Extra at the
// same index, as go-cmp has it where two elements have little in common.
func (f *finder) merge(old *shadow.Diff, d shadow.Diff) {
	switch {
	case old.Kind == shadow.Missing && d.Kind == shadow.Extra:
		old.Shadow = d.Shadow
	case old.Kind == shadow.Extra && d.Kind == shadow.Missing:
		old.Primary = d.Primary
	default:
		return
	}
	old.Kind = shadow.Changed
	if f.json {
		old.Kind, old.Class = f.describe(old.Primary, old.Shadow)
	}
}

// raw is n as JSON, nil where it is not there.
func (n node) raw() json.RawMessage {
	if !n.there {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(n.value) != nil {
		return nil // it came from JSON: this does not happen
	}
	return bytes.TrimSpace(b.Bytes())
}

// describe returns what the built-in comparator has to say of two values.
func (f *finder) describe(p, s json.RawMessage) (shadow.DiffKind, shadow.DiffClass) {
	header := http.Header{"Content-Type": {"application/json"}}
	diffs := f.untyped.Compare(&shadow.Exchange{
		Primary: &shadow.Message{Header: header, Body: p},
		Shadow:  &shadow.Message{Header: header, Body: s},
	}).Diffs
	if len(diffs) == 1 && diffs[0].Path == root {
		return diffs[0].Kind, diffs[0].Class
	}
	return shadow.Changed, shadow.ClassNone
}

// sorted returns the differences in path order.
func (f *finder) sorted() []shadow.Diff {
	slices.SortStableFunc(f.diffs, func(a, b shadow.Diff) int { return pointer.Compare(a.Path, b.Path) })
	return f.diffs
}

// memberName is the name that encoding/json gives a field. An embedded struct without a
// name has none: its fields are those of the struct around it.
func memberName(f reflect.StructField) (name string, named bool) {
	name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	if name != "" && f.Tag.Get("json") != "-" {
		return name, true
	}
	of := f.Type
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return f.Name, !f.Anonymous || of.Kind() != reflect.Struct
}

// keyName is the name that encoding/json gives a map key.
func keyName(key reflect.Value) string {
	if key.Kind() == reflect.String {
		return key.String()
	}
	if key.CanInterface() {
		if m, ok := key.Interface().(encoding.TextMarshaler); ok {
			name, err := m.MarshalText()
			if err == nil {
				return string(name)
			}
		}
	}
	return fmt.Sprint(key)
}
