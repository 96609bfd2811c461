package sampling_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/sampling"
)

// newForce, newAdaptive and newWindowed are the constructors, of arguments that are not wrong.
func newForce(keys ...[]byte) *sampling.Force { return must(sampling.NewForce(keys...)) }

func newAdaptive(o sampling.AdaptiveOptions) *sampling.Adaptive { return must(sampling.NewAdaptive(o)) }

func newWindowed(s shadow.Sampler, every, length time.Duration) *sampling.Windowed {
	return must(sampling.NewWindowed(s, every, length))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// linesOf returns the lines of err.
func linesOf(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// secret is a key of Force.
var secret = []byte("0123456789abcdef0123456789abcdef")

func get() *http.Request { return httptest.NewRequest("GET", "/", nil) }

func forced() *http.Request {
	return withToken(sampling.ForceToken(secret, time.Now().Add(time.Hour)))
}

// isFraction expects that s samples the share p within three standard deviations. A sampler that is
// right is outside once in 370 times, and four times in a row once in 10^10 times.
func isFraction(t *testing.T, s shadow.Sampler, p float64) {
	t.Helper()
	const n = 100_000
	for range 4 {
		sampled, r := 0, get()
		for range n {
			if s.Sample(r).Sampled {
				sampled++
			}
		}
		if math.Abs(float64(sampled)-n*p)/math.Sqrt(n*p*(1-p)) <= 3 {
			return
		}
	}
	t.Errorf("not the share %v", p)
}

// A zero value samples nothing, learns nothing, and is an error of New, in composites and wrappers
// too.
func TestZeroValuesSampleNothing(t *testing.T) {
	for name, s := range map[string]shadow.Sampler{"Adaptive": new(sampling.Adaptive), "Windowed": new(sampling.Windowed), "Force": new(sampling.Force)} {
		assert.Equal(t, shadow.Decision{}, s.Sample(forced()), name)
		if r, ok := s.(shadow.Reporter); ok {
			assert.NoError(t, r.Report(t.Context(), &shadow.Result{}), name)
		}
		for _, in := range []shadow.Sampler{s, shadow.All(s), shadow.ByRoute(nil, s)} {
			lines := mirrortest.Faults(t, mirrortest.Candidate(), shadow.WithSampler(in))
			if assert.Len(t, lines, 1, name) {
				assert.Contains(t, lines[0], "sampling: the zero "+name+" samples nothing: use New"+name)
			}
		}
	}
	assert.Empty(t, new(sampling.Adaptive).Rates())
	assert.Zero(t, new(sampling.Windowed).Bias().Lost)
}
