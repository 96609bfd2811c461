package fields_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/fields"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStripHopByHop(t *testing.T) {
	for name, c := range map[string]struct{ in, out http.Header }{
		"nothing to strip": {
			http.Header{"Accept": {"a", "b"}, "X": {""}},
			http.Header{"Accept": {"a", "b"}, "X": {""}},
		},
		"by definition (RFC 9110 section 7.6.1) and by custom": {
			http.Header{"Connection": {"close"}, "Proxy-Connection": {"x"}, "Keep-Alive": {"timeout=5"}, "Te": {"trailers"},
				"Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Trailer": {"A"}, "Proxy-Authenticate": {"Basic"},
				"Proxy-Authorization": {"secret"}, "Authorization": {"kept"}, "Trailers": {"kept"}},
			http.Header{"Authorization": {"kept"}, "Trailers": {"kept"}, "Te": {"trailers"}},
		},
		"TE without trailers": {http.Header{"Te": {"deflate"}}, http.Header{}},
		"TE with trailers among others, named": {
			http.Header{"Connection": {"TE"}, "TE": {"deflate;q=0.5", "gzip, Trailers"}},
			http.Header{"Te": {"trailers"}},
		},
		"nominated": {
			http.Header{"Connection": {"X-Hop"}, "X-Hop": {"1", "2"}, "X-Hop-2": {"3"}},
			http.Header{"X-Hop-2": {"3"}},
		},
		"nominated on one line, spaced and empty members": {
			http.Header{"Connection": {" ,, a\t,B ,, keep-alive,"}, "A": {"1"}, "B": {"2"}, "C": {"3"}},
			http.Header{"C": {"3"}},
		},
		"nominated on several lines": {
			http.Header{"Connection": {"a", "", "b, c"}, "A": {"1"}, "B": {"2"}, "C": {"3"}, "D": {"4"}},
			http.Header{"D": {"4"}},
		},
		"nominated in another case": {
			http.Header{"Connection": {"x-FORWARDED-for, ETAG"}, "X-Forwarded-For": {"1"}, "Etag": {"2"}},
			http.Header{},
		},
		"nominated but absent": {
			http.Header{"Connection": {"X-Hop"}, "A": {"1"}},
			http.Header{"A": {"1"}},
		},
		"Connection nominates itself": {
			http.Header{"Connection": {"Connection, A"}, "A": {"1"}},
			http.Header{},
		},
		"not a name": {
			http.Header{"Connection": {"a b"}, "A": {"1"}, "A b": {"2"}, "a b": {"3"}},
			http.Header{"A": {"1"}, "A b": {"2"}},
		},
		"keys that were not made canonical": {
			http.Header{"connection": {"x-hop"}, "CONNECTION": {"other"}, "x-hop": {"1"}, "X-Hop": {"2"}, "OTHER": {"3"},
				"proxy-authorization": {"secret"}, "accept": {"kept"}},
			http.Header{"accept": {"kept"}},
		},
		"empty": {http.Header{}, http.Header{}},
		"nil":   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			fields.StripHopByHop(c.in)
			assert.Empty(t, cmp.Diff(c.out, c.in))
		})
	}
}

// parse makes a header of lines such as "Name: value", canonical or not.
func parse(text []byte) http.Header {
	h := http.Header{}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		h[name] = append(h[name], value)
	}
	return h
}

func FuzzAfterStripHopByHopNoSuchFieldIsLeftAndNoOtherIsLost(f *testing.F) {
	f.Add([]byte("Connection:close, X-A ,x-b\nX-A:1\nx-a:2\nX-B:3\nX-C:4\nConnection:\tX-c\nTe:trailers"))
	f.Add([]byte("connection:a b\nA b:1\na b:2\ntransfer-ENCODING:chunked\n:empty\nProxy-Authorization:x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := parse(text)
		after := before.Clone()
		fields.StripHopByHop(after)

		// The rule once more, in the plainest words there are.
		nominated := []string{"connection", "proxy-connection", "keep-alive", "te", "transfer-encoding", "upgrade",
			"trailer", "proxy-authenticate", "proxy-authorization"}
		for name, values := range before {
			if asciiLower(name) == "connection" {
				for _, v := range values {
					for _, member := range strings.Split(v, ",") {
						nominated = append(nominated, asciiLower(strings.Trim(member, " \t\r\n")))
					}
				}
			}
		}
		for name, values := range before {
			_, left := after[name]
			if name == "Te" && left {
				require.Equal(t, []string{"trailers"}, after[name])
				continue
			}
			switch {
			case fields.IsToken(name) && slices.Contains(nominated, asciiLower(name)):
				require.False(t, left, "%q is left", name)
			case fields.IsToken(name):
				require.True(t, left, "%q is lost", name)
			case !left: // no name at all: lost only where it is named as it stands
				require.Contains(t, nominated, asciiLower(name))
			}
			if left && name != "Te" {
				require.Equal(t, values, after[name])
			}
		}
		require.LessOrEqual(t, len(after), len(before))
	})
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// withoutEmpty is what a Snapshot keeps of h: the names that have values.
func withoutEmpty(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		if len(values) > 0 {
			kept[name] = slices.Clone(values)
		}
	}
	return kept
}

func many(n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprint(i))
	}
	return values
}

func headers() map[string]http.Header {
	h := map[string]http.Header{
		"nil":          nil,
		"empty":        {},
		"empty values": {"A": nil, "B": {}},
		"mixed":        {"A": {"1"}, "B": nil, "C": {"", ""}, "d": {"1", "2", "1"}, "": {"x"}},
	}
	for _, n := range []int{31, 32, 33, 64, 65, 1000} {
		h[fmt.Sprint(n, " values")] = http.Header{"Many": many(n), "Another": many(n), "A": {"1"}}
	}
	return h
}

func TestASnapshotGivesBackTheHeader(t *testing.T) {
	for name, h := range headers() {
		t.Run(name, func(t *testing.T) {
			s := fields.Take(h, nil)
			assert.Equal(t, withoutEmpty(h), s.Clone().Header(0))
			assert.Equal(t, withoutEmpty(h), s.Header(3))
			all := http.Header{}
			for name, values := range s.All() {
				assert.NotEmpty(t, values)
				all[name] = append(all[name], values...)
			}
			assert.Equal(t, withoutEmpty(h), all)
		})
	}
}

func FuzzASnapshotGivesBackTheHeader(f *testing.F) {
	f.Add([]byte("A:1\nB:2\nA:3\n:"), uint8(0))
	f.Add([]byte("Trailer:a\nTrailer:Sum:1\nX:y"), uint8(40))
	f.Fuzz(func(t *testing.T, text []byte, times uint8) {
		h := parse(text)
		for name := range h { // over the number of values that stand together
			for range times {
				h[name] = append(h[name], "again")
			}
			break
		}
		want := h.Clone()
		s := fields.Take(h, nil)
		for name, values := range h { // what becomes of the header is not the Snapshot's business
			for i := range values {
				values[i] = "changed"
			}
			delete(h, name)
		}
		require.Equal(t, want, s.Clone().Header(0))
		without := want.Clone()
		maps.DeleteFunc(without, func(name string, _ []string) bool { return strings.HasPrefix(name, "T") })
		require.Equal(t, without, s.Clone().Without("T").Header(0))
		require.Equal(t, want, s.Header(1))
	})
}

// The header made of a Snapshot can be changed as any other: no value of one name is
// reached by way of another.
func TestAHeaderMadeOfASnapshotMayBeChanged(t *testing.T) {
	original := http.Header{"A": {"1", "2"}, "B": {"3"}, "C": many(40)}
	s := fields.Take(original, nil)
	clone := s.Clone()
	h := s.Header(1)
	for name := range h {
		h.Add(name, "more")
		h[name][0] = "changed"
	}
	h.Set("D", "new")
	for name, values := range original {
		want := append(slices.Clone(values), "more")
		want[0] = "changed"
		assert.Equal(t, want, h[name])
	}
	assert.Equal(t, original, clone.Header(0), "a clone is another's")
}

func TestTakingASnapshotIsOneAllocation(t *testing.T) {
	h := requestHeader()
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { fields.Take(h, nil) }), 2.0, "with several values of one name")
	for name := range h {
		h[name] = h[name][:1]
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { fields.Take(h, nil) }), 1.0)
	assert.Zero(t, testing.AllocsPerRun(100, func() { fields.Take(nil, nil) }))
	var room [64]string
	assert.Zero(t, testing.AllocsPerRun(100, func() { fields.Take(h, room[:]) }), "where there is room")
}

func TestTokens(t *testing.T) {
	for list, want := range map[string][]string{
		"":              nil,
		" , ,":          nil,
		"a":             {"a"},
		"a,b":           {"a", "b"},
		" a ,\tb\t, ,c": {"a", "b", "c"},
		"a b,c":         {"a b", "c"},
	} {
		assert.Empty(t, cmp.Diff(want, slices.Collect(fields.Tokens(list)), cmpopts.EquateEmpty()), list)
	}
	for first := range fields.Tokens("a,b") {
		assert.Equal(t, "a", first)
		break
	}
}

func TestIsToken(t *testing.T) {
	for _, s := range []string{"GET", "x", "X-Request-Id", "!#$%&'*+-.^_`|~09azAZ"} {
		assert.True(t, fields.IsToken(s), s)
	}
	for _, s := range []string{"", " ", "a b", "a:", "a\n", "a\x00", "ä", "(", "a,b", `"a"`, "a/b", "\x7f"} {
		assert.False(t, fields.IsToken(s), "%q", s)
	}
}

func TestValid(t *testing.T) {
	for _, h := range []http.Header{nil, {}, {"A": nil}, {"A": {"", "x\ty", "\x80\xff"}}, {"x-y": {"z"}}} {
		assert.True(t, fields.Valid(h), h)
	}
	for _, h := range []http.Header{{"": {"a"}}, {"A b": {"c"}}, {"A:": {"b"}}, {"A": {"ok", "b\r\nC: d"}}, {"A": {"\x00"}},
		{"A": {"\x7f"}}, {"A\n": nil}} {
		assert.False(t, fields.Valid(h), "%q", h)
	}
}

func requestHeader() http.Header {
	return http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"en"},
		"Authorization": {"Bearer token"}, "Cookie": {"a=b; c=d"}, "Content-Type": {"application/json"},
		"User-Agent": {"client/1.0"}, "X-Forwarded-For": {"192.0.2.1", "192.0.2.2"}, "X-Request-Id": {"0123456789abcdef"},
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
}

func BenchmarkTake(b *testing.B) {
	h := requestHeader()
	b.ReportAllocs()
	for b.Loop() {
		fields.Take(h, nil)
	}
}

func BenchmarkHeader(b *testing.B) {
	s := fields.Take(requestHeader(), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Header(4)
	}
}

func BenchmarkHeaderClone(b *testing.B) { // what a Snapshot is instead of
	h := requestHeader()
	b.ReportAllocs()
	for b.Loop() {
		_ = h.Clone()
	}
}

func BenchmarkStripHopByHop(b *testing.B) {
	h := requestHeader()
	h.Set("Connection", "keep-alive")
	s := fields.Take(h, nil)
	b.ReportAllocs()
	for b.Loop() {
		fields.StripHopByHop(s.Header(4))
	}
}

// The work is linear in the tokens and the fields, however many there are: 60,000 times 60,000
// comparisons would not end within the time that a test has.
func TestStripHopByHopIsLinear(t *testing.T) {
	const n = 60_000
	h, names := make(http.Header, n), make([]string, n)
	for i := range n {
		name := "X-" + strconv.Itoa(i)
		h[name], names[i] = []string{"1"}, "Y-"+strconv.Itoa(i)
	}
	h["Connection"] = []string{strings.Join(names, ",")}
	small := http.Header{"Connection": {strings.Join(names[:n/100], ",")}}
	for i := range n / 100 {
		small["X-"+strconv.Itoa(i)] = []string{"1"}
	}
	cost := func(h http.Header) time.Duration {
		start := time.Now()
		fields.StripHopByHop(h)
		return time.Since(start)
	}
	least := cost(small)
	for range 5 {
		small["Connection"] = []string{strings.Join(names[:n/100], ",")}
		least = min(least, cost(small))
	}
	require.Less(t, cost(h), 2000*max(least, time.Microsecond), "a hundred times the input; ten thousand if it were quadratic")
	require.Len(t, h, n)
}
