package pointer_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/pointer"
)

// The examples of RFC 6901 section 5, and what lies beside them.
func TestLookup(t *testing.T) {
	const doc = ` {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
		"~1": 9, "two": 1, "two": 2, "\u0065sc": {"x": [[], {"": {"": null}}]}, "01": "name"} `
	for at, want := range map[string]string{
		"":                 strings.TrimSpace(doc),
		"/foo":             `["bar", "baz"]`,
		"/foo/0":           `"bar"`,
		"/foo/1":           `"baz"`,
		"/":                "0",
		"/a~1b":            "1",
		"/c%d":             "2",
		"/e^f":             "3",
		"/g|h":             "4",
		`/i\j`:             "5",
		`/k"l`:             "6",
		"/ ":               "7",
		"/m~0n":            "8",
		"/~01":             "9",
		"/two":             "1", // the first
		"/esc/x/0":         "[]",
		"/esc/x/1/":        `{"": null}`,
		"/esc/x/1//":       "null",
		"/01":              `"name"`,
		"foo":              "",
		"/foo/2":           "",
		"/foo/-":           "",
		"/foo/01":          "",
		"/foo/+1":          "",
		"/foo/0/":          "",
		"/foo/":            "",
		"/no":              "",
		"/esc/x/1///":      "",
		"/esc/x/0/0":       "",
		"/foo/99999999999": "",
	} {
		got := pointer.Lookup([]byte(doc), at)
		assert.Equal(t, want, string(got), "%q", at)
		assert.Equal(t, want == "", got == nil, "%q", at)
	}
}

func TestLookupInWhatIsNotJSON(t *testing.T) {
	for _, doc := range []string{"", " ", "{", `{"a":1`, `{"a":1}x`, "[1,]", strings.Repeat("[", 1_000_000)} {
		for _, at := range []string{"", "/a", "/0"} {
			assert.Nil(t, pointer.Lookup([]byte(doc), at), "%.20q in %.20q", at, doc)
		}
	}
}

// Every value of any document is found under its own pointer.
func FuzzLookupFindsEveryValue(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b~/":null,"":[]}],"\u0000":"x","0":{"1":2}}`))
	f.Add([]byte(`[[[[1]],"2"],3]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if !json.Valid(doc) {
			require.Nil(t, pointer.Lookup(doc, ""))
			return
		}
		var root any
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&root))
		doc, err := json.Marshal(root) // without duplicates and what is not UTF-8
		require.NoError(t, err)
		escape := strings.NewReplacer("~", "~0", "/", "~1")
		budget := 100
		var visit func(v any, at string)
		visit = func(v any, at string) {
			if budget--; budget < 0 {
				return
			}
			want, err := json.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, string(want), string(pointer.Lookup(doc, at)), "%q", at)
			switch v := v.(type) {
			case map[string]any:
				for name, member := range v {
					visit(member, at+"/"+escape.Replace(name))
				}
			case []any:
				for i, element := range v {
					visit(element, at+"/"+strconv.Itoa(i))
				}
			}
		}
		visit(root, "")
	})
}
