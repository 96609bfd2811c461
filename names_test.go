package shadow_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// A name in a path may be a value: it shows only if the masked bodies hold it too.
func TestNamesOfMaskedBodiesAreNotInPaths(t *testing.T) {
	for name, c := range map[string]struct {
		mask            shadow.Masker
		o               shadow.CompareOptions
		kind            func(string) said
		primary, shadow string
		want            []string
	}{
		"members of a masked object": {shadow.MaskJSON("$.diagnoses"), shadow.CompareOptions{}, saidJSON,
			`{"diagnoses":{"HIV":1,"flu":2},"v":1}`, `{"diagnoses":{"HIV":2},"v":2}`,
			[]string{"/body/diagnoses/[masked]", "/body/diagnoses/[masked]", "/body/v"}},
		"the same, in records": {shadow.MaskJSON("$.diagnoses"), shadow.CompareOptions{}, saidLines,
			"{\"diagnoses\":{\"HIV\":1}}\n", "{\"diagnoses\":{\"HIV\":2}}\n", []string{"/body/0/diagnoses/[masked]"}},
		"members that are numbers": {shadow.MaskJSON("$.cards"), shadow.CompareOptions{}, saidJSON,
			`{"cards":{"900000001":1}}`, `{"cards":{"900000001":2}}`, []string{"/body/cards/[masked]"}},
		"what is dropped": {shadow.MaskWith(shadow.Drop(), shadow.MaskJSON("$.user")), shadow.CompareOptions{}, saidJSON,
			`{"user":{"Ann":1},"v":1}`, `{"user":{"Ann":2},"v":1}`, []string{"/body/user/[masked]"}},
		"names that the rule names": {shadow.MaskWith(shadow.Drop(), shadow.MaskJSON("$..pin")), shadow.CompareOptions{}, saidJSON,
			`{"a":[{"PIN":1}]}`, `{"a":[{"PIN":2}]}`, []string{"/body/a/0/PIN"}},
		"names that stay": {shadow.MaskJSON("$.users.*.pin"), shadow.CompareOptions{}, saidJSON,
			`{"users":{"u1":{"pin":1,"n":1}}}`, `{"users":{"u1":{"pin":2,"n":2}}}`, []string{"/body/users/u1/n", "/body/users/u1/pin"}},
		"keys of elements": {shadow.MaskJSON("$[*].id"), shadow.CompareOptions{Keyed: map[string]string{"$": "id"}}, saidJSON,
			`[{"id":"Ann","v":1},{"id":"Bob","v":1}]`, `[{"id":"Bob","v":1},{"id":"Ann","v":2}]`, []string{"/body/id=[masked]/v"}},
		"e-mail addresses without a mask": {shadow.MaskJSON("$.none"), shadow.CompareOptions{}, saidJSON,
			`{"users":{"ann@example.com":{"n":1}}}`, `{"users":{"ann@example.com":{"n":2}}}`, []string{"/body/users/[masked]/n"}},
		"e-mail addresses as keys": {shadow.MaskJSON("$.none"), shadow.CompareOptions{Keyed: map[string]string{"$": "id"}}, saidJSON,
			`[{"id":"ann@example.com","v":1},{"id":2,"v":1}]`, `[{"id":2,"v":1},{"id":"ann@example.com","v":2}]`, []string{"/body/id=[masked]/v"}},
		"elements of XML": {shadow.MaskXML("user"), shadow.CompareOptions{}, saidXML,
			`<a><user><HIV>1</HIV></user><v>1</v></a>`, `<a><user><HIV>2</HIV></user><v>2</v></a>`, []string{"/body/a/user/[masked]", "/body/a/v"}},
	} {
		t.Run(name, func(t *testing.T) {
			res := exchange(t, c.kind(c.primary), shadow.InProcess("v2", c.kind(c.shadow)), get(),
				shadow.WithCompare(c.o), shadow.WithMasker(c.mask))
			var paths []string
			for _, d := range res.Diffs {
				paths = append(paths, d.Path)
			}
			assert.Equal(t, c.want, paths)
		})
	}
}

func saidXML(body string) said {
	return said{header: field("Content-Type", "application/xml"), body: body}
}

// The names of many differences are looked for in one pass over the bodies.
func TestHidingNamesCostsNoMorePerByteInLargerBodies(t *testing.T) {
	allocated := func(users int) uint64 {
		answer := func(v int) said {
			body := map[string]any{}
			for i := range users {
				body[fmt.Sprintf("user %d", i)] = map[string]any{"pin": v, "n": strings.Repeat("x", 50)}
			}
			text, err := json.Marshal(map[string]any{"users": body})
			require.NoError(t, err)
			return saidJSON(string(text))
		}
		primary, candidate := answer(1), answer(2)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := exchange(t, primary, shadow.InProcess("v2", candidate), get(), shadow.WithMasker(shadow.MaskJSON("$..pin")))
		runtime.ReadMemStats(&after)
		require.Len(t, res.Diffs, 100)
		require.Equal(t, http.StatusOK, res.Shadow.StatusCode)
		return after.TotalAlloc - before.TotalAlloc
	}
	allocated(200)
	small, large := allocated(500), allocated(4000)
	assert.Less(t, large, 16*small, "8 times the bytes")
}
