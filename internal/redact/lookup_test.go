package redact_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/redact"
)

// The examples of RFC 6901 section 5, and what lies beside them.
func TestLookup(t *testing.T) {
	const doc = ` {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
		"~1": 9, "two": 1, "two": 2, "\u0065sc": {"x": [[], {"": {"": null}}]}, "01": "name"} `
	for pointer, want := range map[string]string{
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
		got := redact.Lookup([]byte(doc), pointer)
		assert.Equal(t, want, string(got), "%q", pointer)
		assert.Equal(t, want == "", got == nil, "%q", pointer)
	}
}

func TestLookupInWhatIsNotJSON(t *testing.T) {
	for _, doc := range []string{"", " ", "{", `{"a":1`, `{"a":1}x`, "[1,]", strings.Repeat("[", 1_000_000)} {
		for _, pointer := range []string{"", "/a", "/0"} {
			assert.Nil(t, redact.Lookup([]byte(doc), pointer), "%.20q in %.20q", pointer, doc)
		}
	}
}

// Every value of any document is found under its own pointer.
func FuzzLookupFindsEveryValue(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b~/":null,"":[]}],"\u0000":"x","0":{"1":2}}`))
	f.Add([]byte(`[[[[1]],"2"],3]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if !json.Valid(doc) {
			require.Nil(t, redact.Lookup(doc, ""))
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
		var visit func(v any, pointer string)
		visit = func(v any, pointer string) {
			if budget--; budget < 0 {
				return
			}
			want, err := json.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, string(want), string(redact.Lookup(doc, pointer)), "%q", pointer)
			switch v := v.(type) {
			case map[string]any:
				for name, member := range v {
					visit(member, pointer+"/"+escape.Replace(name))
				}
			case []any:
				for i, element := range v {
					visit(element, pointer+"/"+strconv.Itoa(i))
				}
			}
		}
		visit(root, "")
	})
}
