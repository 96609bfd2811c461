package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A design that answered otherwise, or that lost copies, would be measured unfairly.
func TestEveryDesignServesAsBareAndCopiesTheWholeBody(t *testing.T) {
	const requests = 2 * batch
	for _, l := range workloads {
		want := httptest.NewRecorder()
		c := l.call()
		c.renew()
		l.handler().ServeHTTP(want, c.r)
		for _, d := range designs {
			t.Run(l.name+"/"+d.name, func(t *testing.T) {
				shadow := new(candidate)
				g, err := newRig(d, l, shadow)
				require.NoError(t, err)
				defer g.end()
				c, code := l.call(), want.Code
				if d.name == refused.name {
					code = http.StatusServiceUnavailable
				}
				for i := range requests {
					c.renew()
					got := httptest.NewRecorder()
					g.handler.ServeHTTP(got, c.r)
					assert.Equal(t, code, got.Code)
					assert.Empty(t, cmp.Diff(want.Header(), got.Header()))
					assert.True(t, bytes.Equal(want.Body.Bytes(), got.Body.Bytes()))
					if i%batch == batch-1 {
						require.NoError(t, g.settle(batch))
					}
				}
				copies := int64(requests)
				if d.loses {
					copies = 0
				}
				assert.Equal(t, copies, shadow.copies.Load())
				assert.Equal(t, copies*int64(len(c.content)), shadow.bytes.Load())
			})
		}
	}
}

// A candidate that hangs must hold copies, or the table of a hung shadow says nothing.
func TestHungCandidatesHoldEveryCopy(t *testing.T) {
	for _, d := range designs {
		if d.loses {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			release := make(chan struct{})
			shadow := &candidate{hung: release}
			g, err := newRig(d, workloads[0], shadow)
			require.NoError(t, err)
			defer g.end()
			c := g.load.call()
			for range batch {
				g.handler.ServeHTTP(&c.w, c.r)
			}
			assert.Zero(t, shadow.copies.Load())
			close(release)
			require.NoError(t, g.settle(batch))
		})
	}
}

func TestTheSinkAnswersOnlyAfterTheBody(t *testing.T) {
	shadow := new(candidate)
	s, err := newSink(shadow)
	require.NoError(t, err)
	defer s.close()
	for _, size := range []int{0, 1, 1 << 20} {
		before := shadow.bytes.Load()
		resp, err := http.Post("http://"+s.listener.Addr().String(), "text/plain", strings.NewReader(strings.Repeat("x", size)))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusNoContent, resp.StatusCode)
		assert.Equal(t, int64(size), shadow.bytes.Load()-before)
	}
}

func TestTablesHaveARowForEachDesign(t *testing.T) {
	var out strings.Builder
	require.NoError(t, hung(&out, 50*time.Millisecond))
	require.NoError(t, loopback(&out, 1, time.Millisecond))
	for _, d := range designs[1:] {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(d.name) + ` +\|`)
		assert.Len(t, row.FindAllString(out.String(), -1), 2, d.name)
	}
	assert.ErrorContains(t, run(&out, options{table: "nonsense"}), "nonsense")
}

func TestTablesOfTheFire(t *testing.T) {
	var out strings.Builder
	for _, name := range []string{"upload", "events", "routes"} {
		require.NoError(t, run(&out, options{table: name, rounds: 1, each: time.Millisecond}), name)
	}
	require.NoError(t, rates(&out, 1, time.Millisecond))
	require.NoError(t, steady(&out, 1, 4*connections))
	require.NoError(t, faults(&out, "quickly", 1, 50))
	for _, row := range []string{"bare again", "a shadow that hangs", "10000", "POST-64K", "remote, refuses connections"} {
		assert.Contains(t, out.String(), "\n| "+row+" ")
	}
}

func BenchmarkDesigns(b *testing.B) {
	for _, l := range workloads {
		for _, d := range designs {
			g, err := newRig(d, l, new(candidate))
			require.NoError(b, err)
			b.Run(l.name+"/"+d.name+"/serial", g.cost(1))
			b.Run(l.name+"/"+d.name+"/parallel", g.cost(runtime.GOMAXPROCS(0)))
			g.end()
		}
	}
}
