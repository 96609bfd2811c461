package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	nsf "github.com/nsf/jsondiff"
	wi2l "github.com/wI2L/jsondiff"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/pointer"
)

// verdict says whether two documents are equal; an error is that it cannot tell.
type verdict func(a, b []byte) (bool, error)

// peer is a way to compare JSON documents.
type peer struct {
	name string
	// prepare returns the comparison by rules of documents like like, nil where the
	// peer has no such rules. What is known before the documents are is not measured.
	prepare func(r rules, like []byte) (verdict, error)
}

// peers are compared with one another. The first is this library's.
var peers = []peer{
	{"shadow", shadowVerdict},
	{"encoding/json + reflect.DeepEqual", trees(decode, reflect.DeepEqual)},
	{"encoding/json + go-cmp", trees(decode, func(a, b any) bool { return cmp.Equal(a, b) })},
	{"wI2L/jsondiff", wI2LVerdict},
	{"nsf/jsondiff", nsfVerdict},
	{"jsontext canonical form", canonicalVerdict},
}

// exactPeers are those whose answers to hard cases are compared.
var exactPeers = append(slices.Clone(peers), peer{"encoding/json, UseNumber + reflect.DeepEqual", trees(decodeNumbers, reflect.DeepEqual)})

func shadowVerdict(r rules, _ []byte) (verdict, error) {
	var o jsondiff.Options
	for _, of := range []struct {
		path path
		add  func(*jsonpath.Path)
	}{
		{r.ignore, func(p *jsonpath.Path) { o.Ignore = append(o.Ignore, p) }},
		{r.unordered, func(p *jsonpath.Path) { o.Unordered = append(o.Unordered, p) }},
		{r.keyed, func(p *jsonpath.Path) { o.Keyed = append(o.Keyed, jsondiff.Key{Path: p, Member: r.key}) }},
	} {
		if of.path == nil {
			continue
		}
		p, err := jsonpath.Parse(of.path.String())
		if err != nil {
			return nil, err
		}
		of.add(p)
	}
	c := jsondiff.New(o)
	return func(a, b []byte) (bool, error) {
		result := c.Compare(a, b, "")
		if result.ErrA != nil {
			return false, result.ErrA
		}
		return result.Equal(), result.ErrB
	}, nil
}

// trees returns the comparison of decoded documents. There are no rules in it: what a
// user does is change the trees before they are compared.
func trees(decode func([]byte) (any, error), equal func(a, b any) bool) func(rules, []byte) (verdict, error) {
	return func(r rules, _ []byte) (verdict, error) {
		return func(a, b []byte) (bool, error) {
			x, err := decode(a)
			if err != nil {
				return false, err
			}
			y, err := decode(b)
			if err != nil {
				return false, err
			}
			return equal(r.edit(x), r.edit(y)), nil
		}, nil
	}
}

func decode(doc []byte) (v any, err error) {
	err = json.Unmarshal(doc, &v)
	return v, err
}

func decodeNumbers(doc []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// edit applies r to a decoded document.
func (r rules) edit(v any) any {
	if r.ignore != nil {
		v = replace(v, r.ignore, func(any) any { return nil })
	}
	if r.unordered != nil {
		v = replace(v, r.unordered, sorted)
	}
	if r.keyed != nil {
		v = replace(v, r.keyed, func(array any) any { return byKey(array, r.key) })
	}
	return v
}

// replace changes the values at p.
func replace(v any, p path, change func(any) any) any {
	if len(p) == 0 {
		return change(v)
	}
	switch step := p[0].(type) {
	case string:
		if object, ok := v.(map[string]any); ok {
			if member, ok := object[step]; ok {
				object[step] = replace(member, p[1:], change)
			}
		}
	case int:
		if array, ok := v.([]any); ok && step < len(array) {
			array[step] = replace(array[step], p[1:], change)
		}
	case each:
		if array, ok := v.([]any); ok {
			for i := range array {
				array[i] = replace(array[i], p[1:], change)
			}
		}
	}
	return v
}

// sorted orders an array by how its elements are encoded.
func sorted(array any) any {
	type element struct {
		text  string
		value any
	}
	var elements []element
	for _, value := range array.([]any) {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err) // it was decoded from JSON
		}
		elements = append(elements, element{string(text), value})
	}
	slices.SortFunc(elements, func(a, b element) int { return strings.Compare(a.text, b.text) })
	values := make([]any, len(elements))
	for i := range elements {
		values[i] = elements[i].value
	}
	return values
}

// byKey turns an array into a map.
func byKey(array any, key string) any {
	elements := make(map[any]any)
	for _, element := range array.([]any) {
		elements[element.(map[string]any)[key]] = element
	}
	return elements
}

// wI2LVerdict counts an empty patch as equal. The library ignores by JSON Pointer: it is
// given those of all elements for a wildcard. It has no rule for one array; with the one
// for all of them, the order nowhere matters.
func wI2LVerdict(r rules, like []byte) (verdict, error) {
	var options []wi2l.Option
	if r.ignore != nil {
		doc, err := decode(like)
		if err != nil {
			return nil, err
		}
		options = append(options, wi2l.Ignores(pointers(doc, r.ignore, "")...))
	}
	if r.unordered != nil || r.keyed != nil {
		options = append(options, wi2l.Equivalent())
	}
	return func(a, b []byte) (bool, error) {
		patch, err := wi2l.CompareJSON(a, b, options...)
		return err == nil && len(patch) == 0, err
	}, nil
}

// pointers returns the JSON Pointers (RFC 6901) of the values at p in v.
func pointers(v any, p path, at string) (all []string) {
	if len(p) == 0 {
		return []string{at}
	}
	switch step := p[0].(type) {
	case string:
		if member, ok := v.(map[string]any)[step]; ok {
			name := pointer.Escape(step)
			return pointers(member, p[1:], at+"/"+name)
		}
	case int:
		return pointers(v.([]any)[step], p[1:], fmt.Sprintf("%s/%d", at, step))
	case each:
		for i, element := range v.([]any) {
			all = append(all, pointers(element, p[1:], fmt.Sprintf("%s/%d", at, i))...)
		}
	}
	return all
}

// nsfVerdict has no rules to give. The library writes the documents out again with the
// differences marked; without the parts that match it has less to write.
func nsfVerdict(r rules, _ []byte) (verdict, error) {
	if !reflect.ValueOf(r).IsZero() {
		return nil, nil
	}
	options := &nsf.Options{SkipMatches: true}
	return func(a, b []byte) (bool, error) {
		switch d, _ := nsf.Compare(a, b, options); d {
		case nsf.FullMatch:
			return true, nil
		case nsf.SupersetMatch, nsf.NoMatch:
			return false, nil
		default:
			return false, errors.New(d.String())
		}
	}, nil
}

// canonicalVerdict brings both documents into the form of RFC 8785 and compares bytes.
func canonicalVerdict(r rules, _ []byte) (verdict, error) {
	if !reflect.ValueOf(r).IsZero() {
		return nil, nil
	}
	return func(a, b []byte) (bool, error) {
		x, y := jsontext.Value(bytes.Clone(a)), jsontext.Value(bytes.Clone(b))
		if err := errors.Join(x.Canonicalize(), y.Canonicalize()); err != nil {
			return false, err
		}
		return bytes.Equal(x, y), nil
	}, nil
}
