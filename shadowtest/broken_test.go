package shadowtest_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/shadowtest"
)

// onlyBreaks asserts that err is about one rule, and names a sample.
func onlyBreaks(t *testing.T, err error, rule string) {
	t.Helper()
	require.Error(t, err)
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	assert.Len(t, joined.Unwrap(), 1, "%v", err)
	assert.ErrorContains(t, err, rule)
	assert.ErrorContains(t, err, `(sample "`)
}

// different returns diffs where the bodies differ.
func different(diffs ...shadow.Diff) shadow.ComparatorFunc {
	return func(x *shadow.Exchange) []shadow.Diff {
		if bytes.Equal(x.Primary.Body, x.Shadow.Body) {
			return nil
		}
		return diffs
	}
}

func TestABrokenComparatorFails(t *testing.T) {
	body := shadow.Diff{Path: "/body", Kind: shadow.Changed}
	at := func(path string) shadow.Diff { return shadow.Diff{Path: path, Kind: shadow.Changed} }
	var calls atomic.Uint64
	shared := []shadow.Diff{{}}
	var mu sync.Mutex
	for name, c := range map[string]struct {
		by   shadow.ComparatorFunc
		rule string
	}{
		"panics at nothing": {func(x *shadow.Exchange) []shadow.Diff {
			_ = x.Primary.Header["Content-Type"][0]
			return nil
		}, "a Comparator must return: panic: runtime error: index out of range"},
		"panics at a truncated body": {func(x *shadow.Exchange) []shadow.Diff {
			if x.Shadow.Truncated {
				panic("cannot compare")
			}
			return nil
		}, "must return: panic: cannot compare"},
		"exits": {func(*shadow.Exchange) []shadow.Diff { runtime.Goexit(); return nil },
			"must return: it ended its goroutine"},
		"changes the status": {func(x *shadow.Exchange) []shadow.Diff { x.Shadow.StatusCode++; return nil },
			"must not change the Exchange: it changed Shadow.StatusCode"},
		"changes a header": {func(x *shadow.Exchange) []shadow.Diff {
			if x.Primary.Header != nil {
				x.Primary.Header.Del("Content-Type")
			}
			return nil
		}, "must not change the Exchange: it changed Primary.Header"},
		"changes the request": {func(x *shadow.Exchange) []shadow.Diff { x.Request.URL.Path = "/"; return nil },
			"it changed Request.URL"},
		"changes the route":    {func(x *shadow.Exchange) []shadow.Diff { x.Route = ""; return nil }, "it changed Route"},
		"takes an answer away": {func(x *shadow.Exchange) []shadow.Diff { x.Shadow = nil; return nil }, "it changed Shadow"},
		"writes into a body": {func(x *shadow.Exchange) []shadow.Diff {
			copy(x.Primary.Body, bytes.ToUpper(x.Primary.Body))
			return nil
		}, "it changed the bytes of Primary.Body"},
		"appends to a body": {func(x *shadow.Exchange) []shadow.Diff {
			_ = append(x.Shadow.Body, '\n')
			return nil
		}, "it changed the bytes of Shadow.Body, or those behind them"},
		"finds something in the same": {func(*shadow.Exchange) []shadow.Diff { return []shadow.Diff{body} },
			"must find no differences between identical answers: it found 1: [/body changed"},
		"is not of one mind": {func(x *shadow.Exchange) []shadow.Diff {
			if bytes.Equal(x.Primary.Body, x.Shadow.Body) || calls.Add(1) > 1 {
				return nil
			}
			return []shadow.Diff{body}
		}, "must find the same differences each time: first 1: [/body changed (, )], then 0: []"},
		"reuses what it has returned": {func(x *shadow.Exchange) []shadow.Diff {
			if bytes.Equal(x.Primary.Body, x.Shadow.Body) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			shared[0] = shadow.Diff{Path: "/body", Kind: shadow.Changed, Primary: []byte(`"` + strings.Repeat("x", len(x.Primary.Body)) + `"`)}
			return shared
		}, "must not change differences that it has returned"},
		"no path":            {different(shadow.Diff{Kind: shadow.Changed}), `must return paths that are RFC 6901 pointers to /status, or into /header, /trailer or /body: it returned ""`},
		"a path elsewhere":   {different(at("/took")), `it returned "/took"`},
		"a path of words":    {different(at("body.a")), `it returned "body.a"`},
		"below the status":   {different(at("/status/x")), `it returned "/status/x"`},
		"the whole header":   {different(at("/header")), `it returned "/header"`},
		"a path not escaped": {different(at("/body/a~b")), `it returned "/body/a~b"`},
		"no kind":            {different(shadow.Diff{Path: "/body"}), `must return one of the kinds of differences: it returned "" at /body`},
		"a kind of its own":  {different(shadow.Diff{Path: "/body", Kind: "odd"}), `it returned "odd" at /body`},
		"a shadow value of what is missing": {different(shadow.Diff{Path: "/body", Kind: shadow.Missing, Primary: []byte("1"), Shadow: []byte("2")}),
			"must return no shadow value of what is Missing: it returned 1: [/body missing (1, 2)]"},
		"a primary value of what is extra": {different(shadow.Diff{Path: "/body", Kind: shadow.Extra, Primary: []byte("1")}),
			"must return no primary value of what is Extra"},
		"values that are no JSON": {different(shadow.Diff{Path: "/body", Kind: shadow.Changed, Shadow: []byte("hello")}),
			`must return values that are JSON: it returned "hello" at /body`},
		"out of order":            {different(at("/status"), at("/body")), "must return differences in path order: it returned /status before /body"},
		"indexes in text order":   {different(at("/body/10"), at("/body/9")), "it returned /body/10 before /body/9"},
		"names before indexes":    {different(at("/body/a"), at("/body/0")), "it returned /body/a before /body/0"},
		"what is below goes last": {different(at("/body/a/b"), at("/body/a")), "it returned /body/a/b before /body/a"},
	} {
		t.Run(name, func(t *testing.T) { onlyBreaks(t, shadowtest.TestComparator(c.by), c.rule) })
	}
}

func TestAComparatorThatIsConfusedByOthersFails(t *testing.T) {
	var running atomic.Int32
	err := shadowtest.TestComparator(shadow.ComparatorFunc(func(x *shadow.Exchange) []shadow.Diff {
		defer running.Add(-1)
		if running.Add(1) == 1 && !bytes.Equal(x.Primary.Body, x.Shadow.Body) {
			for range 100 {
				runtime.Gosched()
			}
			return []shadow.Diff{{Path: "/body", Kind: shadow.Changed}}
		}
		return nil
	}))
	onlyBreaks(t, err, "must find the same differences while others compare")
}

// What a Comparator does with formats that only its author knows, the author's samples show.
func TestSamplesOfTheAuthorAreChecked(t *testing.T) {
	acme := shadow.ComparatorFunc(func(x *shadow.Exchange) []shadow.Diff {
		if x.Primary.Header.Get("Content-Type") == "application/vnd.acme" {
			panic("acme")
		}
		return nil
	})
	assert.NoError(t, shadowtest.TestComparator(acme))
	sample := &shadow.Exchange{
		Request: &shadow.Message{},
		Primary: &shadow.Message{Header: http.Header{"Content-Type": {"application/vnd.acme"}}},
		Shadow:  &shadow.Message{},
	}
	err := shadowtest.TestComparator(acme, sample)
	onlyBreaks(t, err, `must return: panic: acme (sample "1")`)
}

func TestAllRulesThatAreBrokenAreNamed(t *testing.T) {
	err := shadowtest.TestComparator(shadow.ComparatorFunc(func(x *shadow.Exchange) []shadow.Diff {
		x.ID = ""
		return []shadow.Diff{{Path: "body", Kind: "odd"}}
	}))
	for _, rule := range []string{"must not change the Exchange", "must return paths", "must return one of the kinds", "must find no differences between identical"} {
		assert.ErrorContains(t, err, rule)
	}
	assert.Len(t, strings.Split(err.Error(), "\n"), 4, "each rule once")
}

func TestABrokenMaskerFails(t *testing.T) {
	digits := regexp.MustCompile(`[0-9]{13,}`)
	secrets := []byte("secret")
	var pool sync.Mutex
	var buffer []byte
	for name, c := range map[string]struct {
		by   shadow.MaskerFunc
		rule string
	}{
		"panics at nil": {func(m *shadow.Message) error { m.Header["X"] = nil; return nil },
			"a Masker must return: panic: assignment to entry in nil map"},
		"panics at an answer without a URL": {func(m *shadow.Message) error { m.URL.User = nil; return nil }, "must return: panic"},
		"writes into the body": {func(m *shadow.Message) error {
			if i := bytes.Index(m.Body, secrets); i >= 0 && !m.Truncated {
				copy(m.Body[i:], "******")
			} else if m.Truncated {
				return errors.New("truncated")
			}
			return nil
		}, "must not write into the bytes of the Body, nor behind them"},
		"appends to the body": {func(m *shadow.Message) error {
			if m.Truncated {
				return errors.New("truncated")
			}
			m.Body = append(m.Body, '\n')
			return nil
		}, "must not write into the bytes of the Body, nor behind them"},
		"passes a part of a body": {func(m *shadow.Message) error {
			m.Body = digits.ReplaceAll(m.Body, []byte("[masked]"))
			return nil
		}, "must fail on a Truncated body that it has to look into"},
		"passes a body that could not be decoded": {func(m *shadow.Message) error {
			if m.Truncated && len(m.Body) > 0 {
				return errors.New("truncated")
			}
			if digits.Match(m.Body) {
				m.Body = digits.ReplaceAll(m.Body, []byte("[masked]"))
			}
			return nil
		}, `must fail on a Truncated body that it has to look into: of 0 of `},
		"reuses a buffer": {func(m *shadow.Message) error {
			if m.Truncated {
				return errors.New("truncated")
			}
			pool.Lock()
			defer pool.Unlock()
			buffer = append(buffer[:0], bytes.ReplaceAll(m.Body, secrets, []byte("[masked]"))...)
			m.Body = buffer[:len(buffer):len(buffer)]
			return nil
		}, "must not change a Body that it has returned"},
	} {
		t.Run(name, func(t *testing.T) {
			onlyBreaks(t, shadowtest.TestMasker(c.by), c.rule)
		})
	}
}

// A Masker need not look into a body to hide it.
func TestAMaskerMayTakeBodiesAway(t *testing.T) {
	assert.NoError(t, shadowtest.TestMasker(shadow.MaskerFunc(func(m *shadow.Message) error {
		m.Body = nil
		return nil
	})), "taken away")
	assert.NoError(t, shadowtest.TestMasker(shadow.MaskerFunc(func(m *shadow.Message) error {
		m.Body = []byte("[masked]")
		return nil
	})), "the same for all")
	assert.NoError(t, shadowtest.TestMasker(shadow.MaskerFunc(func(*shadow.Message) error {
		return errors.New("no")
	})), "never sent")
}

// Two calls may differ where a Masker draws pseudonyms.
func TestAMaskerMayDraw(t *testing.T) {
	var drawn atomic.Uint64
	assert.NoError(t, shadowtest.TestMasker(shadow.MaskerFunc(func(m *shadow.Message) error {
		m.Host = strings.Repeat("x", int(drawn.Add(1)%7))
		return nil
	})))
}

func TestAMaskerThatIsConfusedByOthersFails(t *testing.T) {
	var running atomic.Int32
	err := shadowtest.TestMasker(shadow.MaskerFunc(func(m *shadow.Message) error {
		defer running.Add(-1)
		m.Host = "masked"
		if running.Add(1) > 1 {
			m.Host = "ann"
		}
		for range 100 {
			runtime.Gosched()
		}
		return nil
	}))
	onlyBreaks(t, err, "must do the same while others mask: alone")
}

// What a Masker does with a format of its author's, the author's samples show.
func TestSamplesOfTheMaskersAuthorAreChecked(t *testing.T) {
	pins := shadow.MaskerFunc(func(m *shadow.Message) error {
		m.Body = bytes.ReplaceAll(m.Body, []byte("PIN 1234"), []byte("PIN xxxx"))
		return nil
	})
	assert.NoError(t, shadowtest.TestMasker(pins), "nothing to mask")
	onlyBreaks(t, shadowtest.TestMasker(pins, &shadow.Message{Body: []byte("ann's PIN 1234.")}),
		`must fail on a Truncated body that it has to look into: of 7 of 15 bytes it made "ann's P" and no error (sample "1")`)
}

func TestABrokenSamplerFails(t *testing.T) {
	for name, c := range map[string]struct {
		by   shadow.SamplerFunc
		rule string
	}{
		"panics without a pattern": {func(r *http.Request) bool { return r.Pattern[0] == 'G' }, "a Sampler must return: panic: runtime error: index out of range"},
		"panics without a TLS":     {func(r *http.Request) bool { return r.TLS.ServerName == "x" }, "must return: panic"},
		"changes a header":         {func(r *http.Request) bool { r.Header.Set("X-Sampled", "1"); return true }, "must not change the request: it changed Header"},
		"changes the URL":          {func(r *http.Request) bool { r.URL.Path += "/"; return true }, "it changed URL"},
		"replaces the body":        {func(r *http.Request) bool { r.Body = http.NoBody; return true }, "it changed Body"},
		"parses the query into the request": {func(r *http.Request) bool {
			if r.Body != nil && r.ContentLength > 0 {
				return false
			}
			return r.FormValue("a") == "1"
		}, "must not change the request: it changed Form"},
		"closes the body": {func(r *http.Request) bool { return r.Body != nil && r.Body.Close() == nil }, "must leave the body alone: it closed it"},
		"reads the body": {func(r *http.Request) bool {
			if r.Body == nil {
				return false
			}
			_, err := r.Body.Read(make([]byte, 1))
			return err == nil
		}, "must leave the body alone: it read it"},
	} {
		t.Run(name, func(t *testing.T) { onlyBreaks(t, shadowtest.TestSampler(c.by), c.rule) })
	}
}

// decides is a Sampler with one answer.
type decides shadow.Decision

func (d decides) Sample(*http.Request) shadow.Decision { return shadow.Decision(d) }

func TestASamplerWithAnImpossibleProbabilityFails(t *testing.T) {
	for p, rule := range map[float64]string{
		-0.5:       "must return a probability from 0 to 1: it returned -0.5",
		1.5:        "it returned 1.5",
		math.NaN(): "it returned NaN",
		1:          "must sample a request whose probability is 1",
	} {
		onlyBreaks(t, shadowtest.TestSampler(decides{Probability: p}), rule)
	}
	for _, p := range []float64{0, 0.5, 1} {
		assert.NoError(t, shadowtest.TestSampler(decides{Sampled: true, Probability: p}))
	}
}

func TestASamplerOfTheQueryPasses(t *testing.T) {
	assert.NoError(t, shadowtest.TestSampler(shadow.SamplerFunc(func(r *http.Request) bool {
		return r.URL.Query().Get("a") == "1" && r.PathValue("id") == ""
	})))
}

// flushing is a Reporter that can be flushed.
type flushing struct {
	shadow.ReporterFunc
	flush func(context.Context) error
}

func (f flushing) Flush(ctx context.Context) error { return f.flush(ctx) }

func nothing(context.Context, *shadow.Result) error { return nil }

func TestABrokenReporterFails(t *testing.T) {
	var reports, flushes atomic.Int32
	for name, c := range map[string]struct {
		by   shadow.Reporter
		rule string
	}{
		"panics without an answer": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			_ = r.Shadow.StatusCode
			return nil
		}), "a Reporter must return: panic"},
		"panics without an error": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			if r.Outcome == shadow.Uncompared {
				_ = r.Err.Error()
			}
			return nil
		}), "must return: panic"},
		"fails at some": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			if r.Outcome == shadow.Failed {
				return errors.New("no shadow")
			}
			return nil
		}), `must report without an error while its context lives: it returned "no shadow" (sample "a timeout")`},
		"fails among others": {shadow.ReporterFunc(func(ctx context.Context, _ *shadow.Result) error {
			if reports.Add(1) == 20 && ctx.Err() == nil {
				return errors.New("busy")
			}
			return nil
		}), `must report without an error while its context lives: it returned "busy"`},
		"changes a header": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			if r.Primary.Header != nil {
				r.Primary.Header.Set("Seen", "1")
			}
			return nil
		}), "must not change the Result: it changed Exchange.Primary.Header"},
		"sorts the differences": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			if len(r.Diffs) > 1 {
				r.Diffs[0], r.Diffs[1] = r.Diffs[1], r.Diffs[0]
			}
			return nil
		}), "must not change the Result: it changed Diffs"},
		"writes into a value": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			for _, d := range r.Noise {
				copy(d.Primary, "*")
			}
			return nil
		}), "must not change the Result: it changed Noise"},
		"appends to a body": {shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			_ = append(r.Primary.Body, '\n')
			return nil
		}), "must not change the Result: it changed the bytes of Primary.Body, or those behind them"},
		"cannot be flushed": {flushing{nothing, func(context.Context) error { return errors.New("disk full") }},
			`must flush without an error while its context lives: it returned "disk full" (sample "Flush of nothing yet")`},
		"cannot be flushed twice": {flushing{nothing, func(context.Context) error {
			if flushes.Add(1) > 2 {
				panic("closed twice")
			}
			return nil
		}}, `must return: panic: closed twice (sample "Flush of all, a second time")`},
	} {
		t.Run(name, func(t *testing.T) { onlyBreaks(t, shadowtest.TestReporter(c.by), c.rule) })
	}
}

func TestAReporterMayFailWhenItsContextHasEnded(t *testing.T) {
	assert.NoError(t, shadowtest.TestReporter(flushing{
		func(ctx context.Context, _ *shadow.Result) error { return ctx.Err() },
		func(ctx context.Context) error { return ctx.Err() },
	}))
}

func TestAPartThatDoesNotComeBackFails(t *testing.T) {
	for name, test := range map[string]func(wait func()) error{
		"Comparator": func(wait func()) error {
			return shadowtest.TestComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { wait(); return nil }))
		},
		"Masker": func(wait func()) error {
			return shadowtest.TestMasker(shadow.MaskerFunc(func(*shadow.Message) error { wait(); return nil }))
		},
		"Masker of a part": func(wait func()) error {
			return shadowtest.TestMasker(shadow.MaskerFunc(func(m *shadow.Message) error {
				if m.Truncated {
					wait()
				}
				return nil
			}))
		},
		"Sampler": func(wait func()) error {
			return shadowtest.TestSampler(shadow.SamplerFunc(func(*http.Request) bool { wait(); return true }))
		},
		"Reporter": func(wait func()) error {
			return shadowtest.TestReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error { wait(); return nil }))
		},
		"Reporter with an ended context": func(wait func()) error {
			return shadowtest.TestReporter(shadow.ReporterFunc(func(ctx context.Context, _ *shadow.Result) error {
				if ctx.Err() != nil {
					wait()
				}
				return nil
			}))
		},
		"Flush": func(wait func()) error {
			return shadowtest.TestReporter(flushing{nothing, func(context.Context) error { wait(); return nil }})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				err := test(func() { <-free })
				close(free)
				onlyBreaks(t, err, "must return: it has not, after 10s")
			})
		})
	}
}

func TestNilPartsFail(t *testing.T) {
	for _, err := range []error{
		shadowtest.TestComparator(nil), shadowtest.TestMasker(nil), shadowtest.TestSampler(nil), shadowtest.TestReporter(nil),
	} {
		assert.ErrorContains(t, err, "must return: panic: runtime error: invalid memory address")
	}
}
