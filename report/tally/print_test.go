package tally_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// A snapshot in a log line shows no value of an exemplar, and neither does any part of it,
// nor the tally. Its JSON is the report, and has them as the record mask left them.
func TestASnapshotIsNotPrinted(t *testing.T) {
	x := newTally(t, tally.Options{})
	r := differing("GET /a", 200, 200, diff("/body/v", shadow.Changed, "", `"secret"`, `"secret2"`))
	r.Request = &shadow.Message{Method: "GET", URL: &url.URL{Path: "/secret"}}
	r.Primary.Body, r.Shadow.Body = []byte(`{"v":"secret"}`), []byte(`{"v":"secret2"}`)
	report(t, x, r)
	s := x.Snapshot()
	g := s.Groups[0]
	e := g.Exemplars[0]
	require.Len(t, e.Diffs, 1)
	for _, v := range []any{x, *s, s, s.Groups, g, &g, g.Exemplars, e, &e, e.Diffs, e.Diffs[0], &e.Diffs[0]} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
			fmt.Fprintf(&out, verb+"\n", []any{v})
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		assert.NotRegexp(t, `secret|736563|115 101|0x73, 0x65`, out.String())
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "g", g, "e", e, "d", e.Diffs[0])
	assert.NotContains(t, out.String(), "secret")
	assert.Contains(t, out.String(), `"results":1`)

	text, err := json.Marshal(s)
	require.NoError(t, err)
	assert.Contains(t, string(text), "secret2")
	assert.Contains(t, fmt.Sprint(g), "route=GET /a count=1")
}
