package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/report/file"
)

// A record in a log line shows neither messages nor values.
func TestARecordIsNotPrinted(t *testing.T) {
	m := &file.Message{Method: "GET", URL: "https://h/secret", Status: 200, Header: http.Header{"X": {"secret"}}, Body: []byte("secret")}
	d := file.Diff{Path: "/body/a", Kind: "changed", Primary: json.RawMessage(`"secret"`), Shadow: json.RawMessage(`"secret"`)}
	r := file.Record{ID: "7", Route: "/a", Outcome: "mismatch", Diffs: []file.Diff{d}, Noise: []file.Diff{d}, Request: m, Primary: m, Shadow: m}
	for _, v := range []any{r, &r, d, &d, *m, m} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
			fmt.Fprintf(&out, verb+"\n", []any{v})
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "v", v)
		}
		assert.NotRegexp(t, `secret|736563|115 101|0x73, 0x65`, out.String())
	}
	assert.Equal(t, "[id=7 mirror= target= route=/a outcome=mismatch diffs=1]", fmt.Sprint(r))
}
