package mark_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/mark"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheContextCarriesTheMark(t *testing.T) {
	assert.Nil(t, mark.From(context.Background()))
	m := &mark.Mark{Target: "v2", ID: "1"}
	ctx, cancel := context.WithCancel(mark.With(context.Background(), m))
	defer cancel()
	assert.Same(t, m, mark.From(ctx))
}

func TestFindKnowsCopiesByTheirMarks(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		host   string
		id     string
		marked bool
	}{
		"our own":                      {header: http.Header{"Shadow-Request": {"42"}}, id: "42", marked: true},
		"our own, empty":               {header: http.Header{"Shadow-Request": {""}}, marked: true},
		"our own comes first":          {header: http.Header{"Shadow-Request": {"42"}, "X-Mirror": {"1"}}, host: "a-shadow", id: "42", marked: true},
		"a name without a value":       {header: http.Header{"Shadow-Request": {}, "X-Mirror": nil}},
		"skipper":                      {header: http.Header{"X-Skipper-Shadow-Traffic": {"true"}}, marked: true},
		"skipper's tee":                {header: http.Header{"X-Tee-Loopback-Key": {"k"}}, marked: true},
		"parapet":                      {header: http.Header{"X-Mirror": {"true"}}, marked: true},
		"mroki":                        {header: http.Header{"X-Mroki-Mode": {"shadow"}}, marked: true},
		"autumn":                       {header: http.Header{"X-Autumn-Shadow": {"1"}}, marked: true},
		"armada":                       {header: http.Header{"X-Mirrored-Request": {"1"}}, marked: true},
		"express-shadow-mirror":        {header: http.Header{"X-Shadow-Traffic": {"1"}}, marked: true},
		"Envoy and Istio":              {host: "service-shadow", marked: true},
		"Envoy and Istio, with a port": {host: "service-shadow:8080", marked: true},
		"a host that only looks so":    {host: "service-shadow.example.com"},
		"a shadow that is no suffix":   {host: "shadow"},
		"baggage":                      {header: http.Header{"Baggage": {"shadow=true"}}, marked: true},
		"baggage among others":         {header: http.Header{"Baggage": {"a=b", "c=d , shadow = true ;p=1, e=f"}}, marked: true},
		"baggage of another value":     {header: http.Header{"Baggage": {"shadow=false,shadow=,shadow"}}},
		"baggage of another name":      {header: http.Header{"Baggage": {"my-shadow=true,shadows=true,a=shadow=true,Shadow=true"}}},
		"baggage in a property":        {header: http.Header{"Baggage": {"a=b;shadow=true"}}},
		"real traffic":                 {header: http.Header{"Accept": {"*/*"}}, host: "service"},
		"nothing":                      {},
	} {
		t.Run(name, func(t *testing.T) {
			id, marked := mark.Find(&http.Request{Header: c.header, Host: c.host})
			assert.Equal(t, c.id, id)
			assert.Equal(t, c.marked, marked)
		})
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	r := &http.Request{Host: "example.com:443", Header: http.Header{"Accept": {"*/*"}, "Baggage": {"a=b,c=d,shadow=no"}}}
	assert.Zero(t, testing.AllocsPerRun(100, func() { mark.Find(r) }))
}

func TestStripRemovesEveryMarkAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ in, out http.Header }{
		"headers": {
			http.Header{"Shadow-Request": {"1"}, "X-Skipper-Shadow-Traffic": {"1"}, "X-Tee-Loopback-Key": {"1"}, "X-Mirror": {"1"},
				"X-Mroki-Mode": {"1"}, "X-Autumn-Shadow": {"1"}, "X-Mirrored-Request": {"1"}, "X-Shadow-Traffic": {"1"}, "X-Mirror-Image": {"kept"}},
			http.Header{"X-Mirror-Image": {"kept"}},
		},
		"baggage alone":          {http.Header{"Baggage": {"shadow=true"}}, http.Header{}},
		"baggage among others":   {http.Header{"Baggage": {"a=b, shadow=true;p, c=d;q=1", "e=f,,shadow=true"}}, http.Header{"Baggage": {"a=b,c=d;q=1,e=f"}}},
		"baggage without a mark": {http.Header{"Baggage": {"a=b ,, shadow=false", "  c"}}, http.Header{"Baggage": {"a=b ,, shadow=false", "  c"}}},
		"nil":                    {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			mark.Strip(c.in)
			assert.Empty(t, cmp.Diff(c.out, c.in))
		})
	}
}

func TestSetMarksAndKeepsTheBaggageThatIsValid(t *testing.T) {
	long := "long=" + strings.Repeat("x", 8200)
	var lots []string
	for i := range 64 {
		lots = append(lots, string(rune('a'+i%26))+strings.Repeat("k", 1+i/26)+"=v")
	}
	for name, c := range map[string]struct {
		in   []string
		want map[string]string
	}{
		"none":                           {nil, map[string]string{}},
		"empty":                          {[]string{""}, map[string]string{}},
		"some":                           {[]string{"a=b", "c=d;p=1"}, map[string]string{"a": "b", "c": "d"}},
		"another shadow":                 {[]string{"shadow=false,a=b"}, map[string]string{"a": "b"}},
		"marked already":                 {[]string{"shadow=true,a=b"}, map[string]string{"a": "b"}},
		"partly invalid":                 {[]string{"a=b,=,c d=e", "f=g"}, map[string]string{"a": "b", "f": "g"}},
		"invalid":                        {[]string{"@@@"}, map[string]string{}},
		"more than anybody must forward": {[]string{long}, map[string]string{}},
		"too many for another":           {[]string{strings.Join(lots, ",")}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Accept": {"*/*"}, "X-Mirror": {"1"}, "Shadow-Request": {"old"}}
			if c.in != nil {
				h["Baggage"] = slices.Clone(c.in)
			}
			var store [mark.Fields]string
			bag := mark.Set(h, "42", "7", &store)
			c.want["shadow"] = "true"
			assert.Equal(t, c.want, members(bag))
			sent, err := baggage.Parse(strings.Join(h["Baggage"], ","))
			require.NoError(t, err)
			assert.Equal(t, c.want, members(sent), "the header says what the context does")
			delete(h, "Baggage")
			assert.Equal(t, http.Header{"Accept": {"*/*"}, "Shadow-Request": {"42"}, "Shadow-Mirror": {"7"}}, h)
			h.Add("Shadow-Request", "more")
			h.Add("Shadow-Mirror", "more")
			assert.Equal(t, []string{"42", "7"}, store[:2], "appending to one value does not reach the next")
			assert.Contains(t, store[2], "shadow=true")
		})
	}
}

func members(bag baggage.Baggage) map[string]string {
	m := map[string]string{}
	for _, member := range bag.Members() {
		m[member.Key()] = member.Value()
	}
	return m
}

func FuzzSetIsFoundAndStripIsNot(f *testing.F) {
	f.Add("a=b, shadow=true;p ,c=d", "id")
	f.Add("shadow=true,shadow=true;,,=shadow=true", "")
	f.Add("a=%20b;c;d=e,\tshadow\t=\ttrue", "42")
	f.Fuzz(func(t *testing.T, lines, id string) {
		h := http.Header{"Baggage": strings.Split(lines, "\n"), "A": {"b"}}

		stripped := h.Clone()
		mark.Strip(stripped)
		_, marked := mark.Find(&http.Request{Header: stripped})
		require.False(t, marked)
		var kept []string
		for member := range strings.SplitSeq(strings.Join(h["Baggage"], ","), ",") {
			if _, marked := mark.Find(&http.Request{Header: http.Header{"Baggage": {member}}}); !marked {
				kept = append(kept, normal(member)...)
			}
		}
		require.Equal(t, kept, normal(strings.Join(stripped["Baggage"], ",")), "only the mark is gone")

		var store [mark.Fields]string
		bag := mark.Set(h, id, "7", &store)
		got, marked := mark.Find(&http.Request{Header: h})
		require.True(t, marked)
		require.Equal(t, id, got)
		delete(h, mark.Header)
		_, marked = mark.Find(&http.Request{Header: h})
		require.True(t, marked, "by the baggage alone too")
		require.Equal(t, "true", bag.Member("shadow").Value())
		require.LessOrEqual(t, len(h["Baggage"][0]), 8192)
		require.Equal(t, []string{"b"}, h["A"])
	})
}

// normal lists the members of a baggage header that are not empty.
func normal(list string) (members []string) {
	for member := range strings.SplitSeq(list, ",") {
		if member = strings.Trim(member, " \t\r\n"); member != "" {
			members = append(members, member)
		}
	}
	return members
}
