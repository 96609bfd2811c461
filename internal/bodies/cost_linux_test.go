//go:build !race

package bodies

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
)

// used is the processor time of this thread so far. Whatever else the machine does
// changes it little.
func used() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost is what f takes for each byte: the least processor time of some runs, in ns.
func cost(bytes int, f func()) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := time.Duration(1<<63 - 1)
	for range 3 {
		start := used()
		f()
		least = min(least, used()-start)
	}
	return float64(least) / float64(bytes)
}

// No JSON takes over thirty times as long per byte as ordinary JSON under the same rules,
// whatever it is made of: what would take more is an error, and never a match.
func TestTheWorkOfRulesIsBounded(t *testing.T) {
	const size, most = 1 << 17, 30
	parse := func(path string) *jsonpath.Path {
		p, err := jsonpath.Parse(path)
		require.NoError(t, err)
		return p
	}
	rules := map[string]jsondiff.Options{
		"filters":   {Ignore: []*jsonpath.Path{parse(`$..[?@<5]`), parse(`$[?match(@.a,'(a|b)*c')]`)}},
		"unordered": {Unordered: []*jsonpath.Path{parse("$"), parse("$..*")}},
		"unordered, tolerances": {Unordered: []*jsonpath.Path{parse("$"), parse("$..*")},
			Tolerances: []jsondiff.Tolerance{{Path: parse("$..*"), Abs: 1}}},
		"keyed, tolerances": {Keyed: []jsondiff.Key{{Path: parse("$"), Member: "a"}, {Path: parse("$..*"), Member: "a"}},
			Tolerances: []jsondiff.Tolerance{{Path: parse("$..*"), Abs: 1}}},
	}
	items := map[string]func(i int) string{
		"numbers":        func(i int) string { return fmt.Sprint(i % 10) },
		"lists of one":   func(i int) string { return fmt.Sprintf("[%d]", i%10) },
		"lists of two":   func(i int) string { return fmt.Sprintf("[%d,%d]", i%10, i%7) },
		"lists in lists": func(i int) string { return fmt.Sprintf("[[[%d]]]", i%10) },
		"small objects":  func(i int) string { return fmt.Sprintf(`{"a":%d}`, i%10) },
		"two members":    func(i int) string { return fmt.Sprintf(`{"a":%d,"b":%d}`, i%10, i%7) },
		"words":          func(i int) string { return fmt.Sprintf(`"%c"`, 'a'+i%26) },
	}
	ordinary := func(i int) string {
		return fmt.Sprintf(`{"a":%d,"name":"number %d of the list","price":%d.25,"tags":["x","y"],"note":"what people read"}`, i, i, i%90)
	}
	spellings := map[string]struct{ contentType, open, between, end string }{
		"array":   {"application/json", "[", ",", "]"},
		"records": {"application/x-ndjson", "", "\n", "\n"},
	}
	body := func(open, between, end string, item func(int) string, at func(int) int) []byte {
		var out strings.Builder
		out.WriteString(open)
		for i := 0; out.Len() < size; i++ {
			if i > 0 {
				out.WriteString(between)
			}
			out.WriteString(item(at(i)))
		}
		out.WriteString(end)
		return []byte(out.String())
	}
	rng := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func(int) int{
		"in turns":  func(i int) int { return i + 3 },
		"reversed":  func(i int) int { return 1<<20 - i },
		"at random": func(int) int { return rng.IntN(1 << 20) },
	}
	same := func(i int) int { return i }
	worst := 0.0
	for rule, o := range rules {
		c := NewSet(jsondiff.New(o), 100, nil)
		for spelling, s := range spellings {
			measure := func(item func(int) string, at func(int) int) float64 {
				a, b := body(s.open, s.between, s.end, item, same), body(s.open, s.between, s.end, item, at)
				return cost(len(a)+len(b), func() { c.For(s.contentType, s.contentType).Compare(a, b, "/body") })
			}
			usual := max(measure(ordinary, func(i int) int { return i + i/10%2 }), 10)
			for name, item := range items {
				for shape, at := range shapes {
					got := measure(item, at)
					if got > most*usual {
						got = min(got, measure(item, at))
					}
					worst = max(worst, got/usual)
					assert.LessOrEqual(t, got/usual, float64(most), "%s, %s of %s, %s: %.0f ns per byte, ordinary JSON %.1f", rule, spelling, name, shape, got, usual)
				}
			}
		}
	}
	t.Logf("at most %.1f times ordinary JSON", worst)
}
