//go:build !race

// The race detector multiplies the cost of some code and not of other: nothing can be told from it.

package shadow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// cpuOfAll is the least processor time of the process that f takes of several runs.
func cpuOfAll(runs int, f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	// The collector's work falls on the large runs alone, and grows with what else lives.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	least := time.Duration(1<<63 - 1)
	for range runs {
		runtime.GC()
		n := 0
		start, took := used(), time.Duration(0)
		for took < time.Millisecond {
			f()
			n++
			took = used() - start
		}
		least = min(least, took/time.Duration(n))
	}
	return least
}

// costRequests are requests of about n bytes, and what they are made of.
var costRequests = map[string]func(r *http.Request, n int){
	"usual": func(r *http.Request, n int) {
		for i := range n / 64 {
			r.Header.Set(fmt.Sprint("X-Field-", i), strings.Repeat("a word ", 7))
		}
	},
	"one field":    func(r *http.Request, n int) { r.Header.Set("X-A", strings.Repeat("a word ", n/7)) },
	"small fields": func(r *http.Request, n int) { each(n, 8, func(i int) { r.Header.Set(fmt.Sprint("X", i), "v") }) },
	"many values":  func(r *http.Request, n int) { each(n, 4, func(i int) { r.Header.Add("X-A", "v") }) },
	"cookies":      func(r *http.Request, n int) { r.Header.Set("Cookie", numbered(n, "a%d=b; ")) },
	"cookie fields": func(r *http.Request, n int) {
		each(n, 8, func(i int) { r.Header.Add("Cookie", fmt.Sprint("a", i, "=b")) })
	},
	"Connection": func(r *http.Request, n int) { r.Header.Set("Connection", numbered(n, "X%d, ")) },
	"Connections": func(r *http.Request, n int) {
		each(n, 8, func(i int) { r.Header.Add("Connection", fmt.Sprint("X", i)) })
	},
	"commas": func(r *http.Request, n int) { r.Header.Set("Connection", strings.Repeat(",", n)) },
	"hop by hop": func(r *http.Request, n int) {
		each(n, 16, func(i int) {
			r.Header.Add("Connection", fmt.Sprint("X", i))
			r.Header.Set(fmt.Sprint("X", i), "v")
		})
	},
	"forwarded": func(r *http.Request, n int) { r.Header.Set("X-Forwarded-For", numbered(n, "10.0.0.%d, ")) },
	"forwarded hosts": func(r *http.Request, n int) {
		each(n, 8, func(i int) { r.Header.Add("X-Forwarded-Host", fmt.Sprint("h", i)) })
	},
	"baggage": func(r *http.Request, n int) { r.Header.Set("Baggage", numbered(n, "k%d=v,")) },
	"baggages": func(r *http.Request, n int) {
		each(n, 8, func(i int) { r.Header.Add("Baggage", fmt.Sprint("k", i, "=v")) })
	},
	"baggage commas": func(r *http.Request, n int) { r.Header.Set("Baggage", strings.Repeat(",", n)) },
	"properties":     func(r *http.Request, n int) { r.Header.Set("Baggage", "a=b"+strings.Repeat(";c", n/2)) },
	"percents":       func(r *http.Request, n int) { r.Header.Set("Baggage", "a="+strings.Repeat("%20", n/3)) },
	"trace state":    func(r *http.Request, n int) { r.Header.Set("Tracestate", numbered(n, "k%d=v,")) },
	"request IDs":    func(r *http.Request, n int) { r.Header.Set("X-Request-Id", strings.Repeat("a", n)) },
	"marks": func(r *http.Request, n int) {
		each(n, 8, func(i int) { r.Header.Add("Shadow-Mirror", fmt.Sprint("k", i)) })
	},
	"keys": func(r *http.Request, n int) {
		each(n, 8, func(i int) { r.Header.Add("Idempotency-Key", fmt.Sprint("k", i)) })
	},
	"codings": func(r *http.Request, n int) { r.Header.Set("Content-Encoding", strings.Repeat("gzip, ", n/6)) },
	"spellings": func(r *http.Request, n int) {
		each(n, 20, func(i int) { r.Header[spelling("content-encoding", i)] = []string{"gzip"} })
	},
	"spelled keys": func(r *http.Request, n int) {
		each(n, 20, func(i int) { r.Header[spelling("idempotency-key", i)] = []string{"gzip"} })
	},
	"segments":     func(r *http.Request, n int) { r.URL.Path = "/" + numbered(n, "a%d/") },
	"slashes":      func(r *http.Request, n int) { r.URL.Path = strings.Repeat("/", n) },
	"long segment": func(r *http.Request, n int) { r.URL.Path = "/" + strings.Repeat("ab1-", n/4) },
	"services":     func(r *http.Request, n int) { r.URL.Path = "/" + strings.Repeat("a.", n/2) + "B/C" },
	"parameters":   func(r *http.Request, n int) { r.URL.Path = "/" + strings.Repeat(";a=b", n/4) },
	"escapes":      func(r *http.Request, n int) { r.URL.Path = strings.Repeat("/\x00", n/2) },
	"query":        func(r *http.Request, n int) { r.URL.RawQuery = numbered(n, "a%d=b&") },
	"ampersands":   func(r *http.Request, n int) { r.URL.RawQuery = strings.Repeat("&", n) },
	"userinfo":     func(r *http.Request, n int) { r.URL.RawQuery = strings.Repeat("u=http://a:b@c/&", n/16) },
	"trailers": func(r *http.Request, n int) {
		r.Trailer = http.Header{}
		each(n, 8, func(i int) { r.Trailer.Set(fmt.Sprint("X", i), "v") })
	},
	"form": func(r *http.Request, n int) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		setBody(r, numbered(n, "a%d=b&"))
	},
	"JSON": func(r *http.Request, n int) {
		r.Header.Set("Content-Type", "application/json")
		setBody(r, "["+numbered(n, `{"a%d":1},`)+"0]")
	},
	"deep JSON": func(r *http.Request, n int) {
		r.Header.Set("Content-Type", "application/json")
		setBody(r, strings.Repeat("[", n/2)+strings.Repeat("]", n/2))
	},
}

func each(n, size int, f func(i int)) {
	for i := range n / size {
		f(i)
	}
}

func setBody(r *http.Request, s string) { r.Body = io.NopCloser(strings.NewReader(s)) }

// spelling is the i-th spelling of a name.
func spelling(name string, i int) string {
	b := []byte(name)
	for k := range b {
		if i>>k&1 == 1 && b[k] != '-' {
			b[k] ^= 0x20
		}
	}
	return string(b)
}

// No request takes more than in proportion to its bytes, through all that a Mirror does with
// it: from the decision to the log. And none takes more than 20 times as much as an ordinary
// one of that size; 30 leaves room for what else the machine does.
func TestTheWorkOfARequestGrowsWithItsBytesOnly(t *testing.T) {
	same := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		h := w.Header()
		for name, values := range r.Header {
			if name != "Content-Encoding" && name != "Content-Type" {
				h[name] = values
			}
		}
		io.WriteString(w, "ok")
	})
	remote := shadow.Target{Name: "v2", URL: "http://v2.test", Isolated: true, Masker: shadow.DropCredentials(),
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				io.Copy(io.Discard, r.Body)
			}
			h := r.Header.Clone()
			h.Set("X-Other", "1")
			return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader("okay")), Request: r}, nil
		})}
	inProcess := shadow.InProcess("v2", same)
	inProcess.Isolated = true
	printed := shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
		_ = r.String() + r.Request.String()
		return nil
	})
	masked := []shadow.Option{shadow.WithMasker(shadow.MaskDetected()), shadow.WithRecordMasker(shadow.MaskCookies("a1")),
		shadow.WithReporter(printed), shadow.WithReporter(shadow.LogReporter(slog.New(slog.NewTextHandler(io.Discard, nil))))}
	for name, c := range map[string]struct {
		target  shadow.Target
		options []shadow.Option
	}{
		"in process":   {inProcess, masked},
		"remote":       {remote, masked},
		"not masked":   {remote, []shadow.Option{shadow.WithReporter(printed)}},
		"not sampled":  {remote, []shadow.Option{shadow.WithSampler(shadow.Rate(0)), shadow.WithReporter(printed)}},
		"leak checked": {remote, []shadow.Option{shadow.WithMasker(shadow.MaskPatterns(regexp.MustCompile(`\ba9+b\b`))), shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1}), shadow.WithReporter(printed)}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := shadow.New(c.target, append(c.options, allMethods, calm, shadow.WithLogger(slog.New(slog.DiscardHandler)))...)
			require.NoError(t, err)
			defer m.Close()
			h := m.Handler(same)
			at := func(runs int, make func(r *http.Request, n int), n int) time.Duration {
				runtime.GC()
				r := httptest.NewRequest("POST", "/", nil)
				make(r, n)
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				return cpuOfAll(runs, func() {
					r.Body = io.NopCloser(bytes.NewReader(body))
					h.ServeHTTP(discardWriter{http.Header{}}, r)
					assert.NoError(t, m.Drain(t.Context()))
				})
			}
			usual := at(3, costRequests["usual"], 4**costSize)
			for what, make := range costRequests {
				large := at(1, make, 4**costSize)
				if large <= min(2*time.Millisecond, 30*usual) { // whatever a quarter takes
					continue
				}
				small := at(3, make, *costSize)
				for range 20 {
					if large <= 8*small+2*time.Millisecond && large <= 30*usual {
						break
					}
					large = min(large, at(3, make, 4**costSize))
				}
				assert.LessOrEqual(t, large, 8*small+2*time.Millisecond, "%s: %v of %d bytes, %v of four times as many", what, small, *costSize, large)
				assert.LessOrEqual(t, large, 30*usual, "%s: %v; an ordinary request takes %v", what, large, usual)
				if testing.Verbose() && large > 5*usual {
					t.Logf("%s: %v, %.1f times the usual %v, %.1f times as long as a quarter", what, large, float64(large)/float64(usual), usual, float64(large)/float64(small))
				}
			}
		})
	}
}
