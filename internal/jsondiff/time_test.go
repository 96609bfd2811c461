package jsondiff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Times under a tolerance are compared by value, not by spelling.
func TestTimesUnderATolerance(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05+00:00"`, true},
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.5\u002b00:00"`, true}, // as System.Text.Json writes it
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02t03:04:05z"`, true},
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02t05:04:06+02:00"`, true},
		{`"2016-12-31T23:59:60Z"`, `"2017-01-01T00:00:00Z"`, true},
		{`"2016-12-31T23:59:60.9Z"`, `"2017-01-01T00:00:00Z"`, true},
		{`"2016-12-31T23:59:60Z"`, `"2017-01-01T00:00:02Z"`, false},
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02t03:04:07z"`, false},
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02x03:04:05z"`, false},
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:61Z"`, false},
		{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:0z5"`, false},
		{`"2026-01-02T03:04:05Z"`, `"zzzzzzzzzzzzzzzzzzzzzzz"`, false},
	} {
		cmp := New(Options{Tolerances: []Tolerance{{Path: mustParse(t, "$")[0], Time: time.Second}}})
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			r := cmp.Compare([]byte(pair[0]), []byte(pair[1]), "")
			assert.Equal(t, c.equal, r.Equal(), pair)
		}
	}
}
