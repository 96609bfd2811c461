package token_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden file")

const testKey = "a key for tests, not for use"

func tokenizer(t testing.TB, key string) *token.Tokenizer {
	t.Helper()
	k, err := token.New([]byte(key))
	require.NoError(t, err)
	return k
}

// TestTokensStayTheSame reads lines of a kind, a value and its token, both quoted. A
// change of this file changes the tokens of everybody: what is stored under the old ones
// joins no longer.
func TestTokensStayTheSame(t *testing.T) {
	const file = "testdata/tokens.txt"
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	k := tokenizer(t, testKey)
	var out strings.Builder
	tokens := 0
	for line := range strings.Lines(string(golden)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(parts) < 2 {
			out.WriteString(line) // a comment
			continue
		}
		value, err := strconv.Unquote(parts[1])
		require.NoError(t, err, line)
		of := map[string]func(string) string{"text": k.Text, "number": k.Number}[parts[0]]
		require.NotNil(t, of, line)
		fmt.Fprintf(&out, "%s\t%s\t%q\n", parts[0], parts[1], of(value))
		tokens++
	}
	require.Greater(t, tokens, 40)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
		return
	}
	assert.Equal(t, string(golden), out.String())
}

func TestEqualValuesHaveEqualTokensInEveryProcess(t *testing.T) {
	a, b := tokenizer(t, testKey), tokenizer(t, testKey)
	for _, v := range corpus() {
		assert.Equal(t, a.Text(v), b.Text(v), "%q", v)
		assert.Equal(t, a.Text(v), a.Text(v), "%q", v)
	}
}

// Different values have different tokens, whatever their kinds.
func TestNoTwoValuesShareAToken(t *testing.T) {
	k := tokenizer(t, testKey)
	from := map[string]string{}
	for _, v := range corpus() {
		got := k.Text(v)
		if other, ok := from[got]; ok && other != v {
			t.Errorf("%q and %q are both %q", v, other, got)
		}
		from[got] = v
	}
	require.Greater(t, len(from), 30_000)
}

func TestAnotherKeyGivesOtherTokens(t *testing.T) {
	a, b := tokenizer(t, testKey), tokenizer(t, testKey+".")
	same := 0
	values := corpus()
	for _, v := range values {
		if len(v) > 6 && a.Text(v) == b.Text(v) {
			same++
			t.Logf("%q", v)
		}
	}
	assert.LessOrEqual(t, same, 2, "of %d", len(values)) // dates, which have few of their years to hide among
}

func TestALongValueIsNotItsOwnToken(t *testing.T) {
	k := tokenizer(t, testKey)
	for _, v := range corpus() {
		if len(v) > 8 {
			assert.NotEqual(t, v, k.Text(v))
		}
	}
}

func TestATokenLooksLikeItsValue(t *testing.T) {
	k := tokenizer(t, testKey)
	for name, c := range map[string]struct {
		value string
		want  string // a pattern
	}{
		"text":               {"Ada Lovelace", `^t[a-z2-7]{25}$`},
		"e-mail":             {"ada@lovelace.org", `^t[a-z2-7]{25}@t[a-z2-7]{12}\.example\.com$`},
		"digits":             {"48151623", `^[1-9][0-9]{7}$`},
		"leading zero":       {"00123", `^0[0-9]{4}$`},
		"card":               {"4111 1111-1111 1111", `^[1-9][0-9]{3} [0-9]{4}-[0-9]{4} [0-9]{4}$`},
		"phone":              {"+49 (30) 90 18 20", `^\+[1-9][0-9] \([0-9]{2}\) [0-9]{2} [0-9]{2} [0-9]{2}$`},
		"IBAN":               {"GB29 NWBK 6016 1331 9268 19", `^GB[0-9]{2} [A-Z]{4} [0-9]{4} [0-9]{4} [0-9]{4} [0-9]{2}$`},
		"IBAN in one":        {"FR1420041010050500013M02606", `^FR[0-9]{19}[A-Z][0-9]{5}$`},
		"hex":                {"d41d8cd98f00b204e9800998ecf8427e", `^[0-9a-f]{32}$`},
		"hex in upper case":  {"DEADBEEF", `^[0-9A-F]{8}$`},
		"MAC":                {"00:1a:2b:3c:4d:5e", `^([0-9a-f]{2}:){5}[0-9a-f]{2}$`},
		"UUID 1":             {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", `^[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
		"UUID 4":             {"919108F7-52D1-4320-9BAC-F847DB4148A8", `^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`},
		"UUID 7":             {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
		"IPv4":               {"203.0.113.7", `^([0-9]{1,3}\.){3}[0-9]{1,3}$`},
		"IPv6":               {"2a00:1450:4001:82a::200e", `^2001:db8:[0-9a-f:]+$`},
		"date":               {"2024-02-29", `^2024-[0-9]{2}-[0-9]{2}$`},
		"date and time":      {"2024-02-29T23:59:59.5+05:30", `^2024-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]\+05:30$`},
		"longer than FF1's":  {strings.Repeat("7", 100), `^[1-9][0-9]{99}$`},
		"hex longer than it": {strings.Repeat("f", 64), `^[0-9a-f]{64}$`},
		"empty":              {"", `^$`},
	} {
		got := k.Text(c.value)
		assert.Regexp(t, c.want, got, name)
		if c.value != "" {
			assert.NotEqual(t, c.value, got, name)
		}
	}
}

func TestEqualDomainsStayEqualAndNamesDoNotTell(t *testing.T) {
	k := tokenizer(t, testKey)
	ada, adam, other := k.Text("ada@a.example"), k.Text("adam@a.example"), k.Text("ada@b.example")
	local := func(s string) string { l, _, _ := strings.Cut(s, "@"); return l }
	domain := func(s string) string { _, d, _ := strings.Cut(s, "@"); return d }
	assert.Equal(t, domain(ada), domain(adam))
	assert.NotEqual(t, domain(ada), domain(other))
	assert.NotEqual(t, local(ada), local(other), "one name at two domains")
}

func TestACardHasOneTokenHoweverItIsWritten(t *testing.T) {
	k := tokenizer(t, testKey)
	plain := k.Text("4111111111111111")
	for _, written := range []string{"4111 1111 1111 1111", "4111-1111-1111-1111"} {
		assert.Equal(t, plain, strings.NewReplacer(" ", "", "-", "").Replace(k.Text(written)))
	}
}

func TestLuhnHoldsWhereItDid(t *testing.T) {
	k := tokenizer(t, testKey)
	r := rand.New(rand.NewPCG(1, 2))
	held := 0
	for range 3000 {
		value := digitString(r, 8+r.IntN(50))
		if luhn(value) {
			held++
		}
		require.Equal(t, luhn(value), luhn(k.Text(value)), value)
		require.Len(t, k.Text(value), len(value))
	}
	require.Greater(t, held, 100)
}

func TestNumbersStayWithinTheIntegersOfPrograms(t *testing.T) {
	k := tokenizer(t, testKey)
	r := rand.New(rand.NewPCG(3, 4))
	for _, most := range []uint64{1<<31 - 1, 1<<53 - 1, 1<<63 - 1} {
		length := len(strconv.FormatUint(most, 10))
		least, _ := strconv.ParseUint("1"+strings.Repeat("0", length-1), 10, 64)
		for range 300 {
			value := least + r.Uint64N(most-least+1)
			got, err := strconv.ParseUint(k.Number(strconv.FormatUint(value, 10)), 10, 64)
			require.NoError(t, err)
			require.LessOrEqual(t, got, most, "%d", value)
			require.GreaterOrEqual(t, got, least, "%d", value)
		}
	}
	over, err := strconv.ParseUint(k.Number("3000000000"), 10, 64)
	require.NoError(t, err)
	assert.Greater(t, over, uint64(1<<31-1), "what did not fit still does not, so that no two numbers meet")
}

// A date that is known together with its token gives away no other: no two dates of a span
// move by as many days as a rule, and the order of dates does not survive.
func TestAKnownDateGivesAwayNoOther(t *testing.T) {
	k := tokenizer(t, testKey)
	born, created := "1985-06-15", "2026-11-28T18:12:34.567Z"
	moved := day(t, k.Text("2026-11-28")).Sub(day(t, "2026-11-28"))
	assert.NotEqual(t, moved, day(t, k.Text(born)).Sub(day(t, born)))
	assert.NotEqual(t, k.Text(created)[:10], k.Text("2026-11-28"), "a time of a day does not tell the token of the day")
	assert.NotEqual(t, created[10:], k.Text(created)[10:], "the time of day goes too")
	for _, from := range []string{"1985-01-01", "2026-01-01"} {
		shifts, inOrder := map[time.Duration]int{}, 0
		last := ""
		for i := range 365 {
			value := day(t, from).AddDate(0, 0, i).Format(time.DateOnly)
			got := k.Text(value)
			shifts[day(t, got).Sub(day(t, value))]++
			if got > last {
				inOrder++
			}
			last = got
		}
		for shift, n := range shifts {
			assert.Less(t, n, 12, "%v", shift)
		}
		assert.Less(t, inOrder, 240)
		assert.Greater(t, inOrder, 120)
	}
	next := func(s string) string { return day(t, s).AddDate(1, 0, 0).Format(time.DateOnly) }
	same := 0
	for i := range 365 { // of years of one length
		value := day(t, "2026-01-01").AddDate(0, 0, i).Format(time.DateOnly)
		if next(k.Text(value)) == k.Text(next(value)) {
			same++
		}
	}
	assert.Less(t, same, 12)
}

func TestDatesStayPlausibleAndApart(t *testing.T) {
	k := tokenizer(t, testKey)
	for _, span := range [][2]int{{1900, 1930}, {1930, 2000}, {2000, 2010}, {2010, 2020}, {2020, 2021}, {2026, 2027}, {9999, 10000}, {1890, 1900}} {
		seen := map[string]bool{}
		for at := time.Date(span[0], 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < span[1]; at = at.AddDate(0, 0, 1) {
			got := k.Text(at.Format(time.DateOnly))
			year := day(t, got).Year()
			if span[0] >= 1900 {
				require.True(t, span[0] <= year && year < span[1], "%v: %s", at, got)
			}
			require.Less(t, year, span[1])
			require.False(t, seen[got], "%s twice", got)
			seen[got] = true
		}
	}
	for value, want := range map[string]string{
		"2024-02-29T23:59":               "^2024-..-..T..:..$",
		"2024-02-29t23:59z":              "^2024-..-..t..:..z$",
		"2024-02-29 23:59:59":            "^2024-..-.. ..:..:..$",
		"2024-02-29T23:59:59.123456789Z": `^2024-..-..T..:..:..\.[0-9]{9}Z$`,
		"2024-02-29T23:59:59,5+05:30":    `^2024-..-..T..:..:..,[0-9]\+05:30$`,
		"1985-02-28T23:59:59.000-00:00":  `^19[3-9].-..-..T..:..:..\.[0-9]{3}-00:00$`,
		"0000-01-01":                     "^[01]...-..-..$",
		"9999-12-31":                     "^9999-..-..$",
	} {
		got := k.Text(value)
		assert.Regexp(t, want, got)
		assert.NotEqual(t, value, got)
		assert.Equal(t, got, k.Text(value))
	}
}

func TestAddressesKeepTheirFamilyAndWhetherTheyArePublic(t *testing.T) {
	k := tokenizer(t, testKey)
	r := rand.New(rand.NewPCG(7, 8))
	public := func(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }
	for range 2000 {
		var four [4]byte
		for i := range four {
			four[i] = byte(r.Uint32())
		}
		value := netip.AddrFrom4(four)
		got, err := netip.ParseAddr(k.Text(value.String()))
		require.NoError(t, err)
		require.True(t, got.Is4(), value)
		require.Equal(t, public(value), public(got), value)
	}
	documentation := netip.MustParsePrefix("2001:db8::/32")
	for _, value := range []string{"::1", "2a00::1", "2A00::1", "2a00:0:0:0:0:0:0:1", "::ffff:192.0.2.1", "fe80::1%eth0"} {
		got, err := netip.ParseAddr(k.Text(value))
		require.NoError(t, err)
		assert.True(t, documentation.Contains(got), value)
	}
}

func TestANumberKeepsItsShape(t *testing.T) {
	k := tokenizer(t, testKey)
	for _, raw := range []string{
		"12", "-12", "1234567890", "12.50", "-0.25", "0.07", "1e5", "-1.5E+30", "100e-3", "0.0", "10", "4111111111111111",
		strings.Repeat("9", 38), strings.Repeat("9", 39), "1" + strings.Repeat("0", 300),
	} {
		got := k.Number(raw)
		assert.True(t, json.Valid([]byte(got)), "%s: %s", raw, got)
		assert.Len(t, got, len(raw), raw)
		assert.Equal(t, raw[0] == '-', got[0] == '-', "%s: %s", raw, got)
		assert.Equal(t, strings.IndexByte(raw, '.'), strings.IndexByte(got, '.'), "%s: %s", raw, got)
		i, j := strings.IndexAny(raw, "eE"), strings.IndexAny(got, "eE")
		require.Equal(t, i, j, "%s: %s", raw, got)
		if i >= 0 {
			assert.Equal(t, raw[i:], got[j:])
		}
	}
	for digit := range 10 {
		assert.Len(t, k.Number(strconv.Itoa(digit)), 1)
	}
}

func TestWhatIsNoNumberIsNeverReturned(t *testing.T) {
	k := tokenizer(t, testKey)
	for _, raw := range []string{"", "secret", "12 ", " 12", "012", "+1", "1.", ".5", "1e", "0x12", "NaN", "12,secret", `"12"`} {
		assert.Equal(t, "0", k.Number(raw), raw)
	}
}

// An identifier is a number in one place and text in another: in a path, say.
func TestANumberAndItsTextHaveTheSameDigits(t *testing.T) {
	k := tokenizer(t, testKey)
	for _, raw := range []string{"7", "42", "12345", "-12", "12.50", "0.25", "4111111111111111", strings.Repeat("8", 60)} {
		assert.Equal(t, k.Text(raw), k.Number(raw))
	}
}

func TestAKeyThatIsTooShortIsRefusedAndNotQuoted(t *testing.T) {
	for n := range token.MinKey {
		_, err := token.New([]byte("hunter2hunter2hunter2"[:n]))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter")
		assert.Contains(t, err.Error(), fmt.Sprintf("%d bytes is too short", n))
		assert.Contains(t, err.Error(), "16 random bytes")
	}
	_, err := token.New(bytes.Repeat([]byte{1}, token.MinKey))
	assert.NoError(t, err)
}

func TestTheKeyIsCopied(t *testing.T) {
	key := []byte(testKey)
	k, err := token.New(key)
	require.NoError(t, err)
	clear(key)
	assert.Equal(t, tokenizer(t, testKey).Text("Ada"), k.Text("Ada"))
	assert.Equal(t, tokenizer(t, testKey).Text("a@b.example"), k.Text("a@b.example"), "a code made after that")
}

func TestTheKeyIsNeverPrinted(t *testing.T) {
	k := tokenizer(t, testKey)
	k.Text("Ada")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, k)
		fmt.Fprintf(&out, verb, *k)
		fmt.Fprintf(&out, verb, struct{ K *token.Tokenizer }{k})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("made", "tokenizer", k)
	slog.New(slog.NewTextHandler(&out, nil)).Info("made", "tokenizer", k, "value", *k)
	encoded, err := json.Marshal(k)
	require.NoError(t, err)
	out.Write(encoded)
	for _, secret := range []string{testKey, hex.EncodeToString([]byte(testKey)), fmt.Sprint([]byte(testKey))} {
		assert.NotContains(t, out.String(), secret)
	}
}

func TestOneTokenizerServesManyGoroutines(t *testing.T) {
	k := tokenizer(t, testKey)
	values := corpus()[:400]
	want := make([]string, len(values))
	for i, v := range values {
		want[i] = k.Text(v)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i, v := range values {
				assert.Equal(t, want[i], k.Text(v))
			}
		})
	}
	all.Wait()
}

func FuzzText(f *testing.F) {
	for _, v := range corpus()[:200] {
		f.Add(v)
	}
	k := tokenizer(f, testKey)
	f.Fuzz(func(t *testing.T, s string) {
		got := k.Text(s)
		assert.Equal(t, s == "", got == "")
		assert.Equal(t, got, k.Text(s))
		if strings.HasPrefix(got, "t") && len(s) >= 6 {
			assert.NotContains(t, got, s)
		}
		if isDigits := regexp.MustCompile(`^[0-9]+$`).MatchString; isDigits(s) {
			assert.True(t, isDigits(got), "%q", got)
			assert.Len(t, got, len(s))
			assert.Equal(t, len(s) >= 8 && luhn(s), len(s) >= 8 && luhn(got))
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, raw := range []string{"0", "-0", "12.50", "1e5", "-1.5E+30", "0.0001", "9007199254740993", "x"} {
		f.Add(raw)
	}
	k := tokenizer(f, testKey)
	f.Fuzz(func(t *testing.T, raw string) {
		got := k.Number(raw)
		require.True(t, json.Valid([]byte(got)), "%q", got)
		if json.Valid([]byte(raw)) && strings.Trim(raw, "-+.eE0123456789") == "" {
			assert.Len(t, got, len(raw))
		} else {
			assert.Equal(t, "0", got)
		}
	})
}

func BenchmarkText(b *testing.B) {
	k := tokenizer(b, testKey)
	for _, c := range []struct{ name, value string }{
		{"word", "Ada Lovelace"}, {"email", "ada@lovelace.org"}, {"id", "48151623"}, {"card", "4111 1111 1111 1111"},
		{"iban", "GB29 NWBK 6016 1331 9268 19"}, {"uuid", "919108f7-52d1-4320-9bac-f847db4148a8"}, {"ipv4", "203.0.113.7"},
		{"date", "2024-02-29T23:59:59Z"}, {"sha256", strings.Repeat("d41d8cd9", 8)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Text(c.value)
			}
		})
	}
	b.Run("number", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.Number("1234.50")
		}
	})
}

// corpus is values of all kinds, as they occur and at random.
func corpus() []string {
	values := []string{
		"Ada", "Ada Lovelace", "ada", " ", "Ωmega", "ORD-17", "a@b.example", "b@b.example", "a@c.example", "A@b.example",
		"+49 30 901820", "(555) 0100", "007", "07", "7", "0", "00", "192.0.2.1", "192.0.2.2", "10.0.0.1", "::1", "2001:db8::1",
		"2024-02-29", "2024-03-01", "2024-02-29T00:00:00Z", "2024-02-29 00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31",
		"GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819", "DE89370400440532013000", "NL91ABNA0417164300",
		"00:1a:2b:3c:4d:5e", "00-1a-2b-3c-4d-5e", "001a2b3c4d5e", "deadbeef", "DEADBEEF", "AKIAIOSFODNN7EXAMPLE",
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.", "2024-13-01", "256.1.1.1",
	}
	for n := range 3000 {
		values = append(values, strconv.Itoa(n))
	}
	r := rand.New(rand.NewPCG(9, 10))
	for range 3000 {
		var b [16]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		h := hex.EncodeToString(b[:])
		card := digitString(r, 16)
		values = append(values,
			h, strings.ToUpper(h), h[:8], h[:16], h+h,
			h[:8]+"-"+h[8:12]+"-4"+h[13:16]+"-a"+h[17:20]+"-"+h[20:],
			card, card[:4]+" "+card[4:8]+" "+card[8:12]+" "+card[12:], card[:9], card+card+card,
			netip.AddrFrom4([4]byte(b[:4])).String(), netip.AddrFrom16(b).String(),
			"user"+h[:6]+"@mail.example", "name "+h[:10], string(b[:5]),
			time.Unix(r.Int64N(4e9), 0).UTC().Format(time.RFC3339),
		)
	}
	return values
}

func digitString(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + byte(r.IntN(10))
	}
	return string(b)
}

// luhn is the test of ISO/IEC 7812-1 annex B, by a table of doubled digits.
func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		d := s[len(s)-1-i]
		if i%2 == 0 {
			sum += int(d - '0')
		} else {
			sum += int("0246813579"[d-'0'] - '0')
		}
	}
	return sum%10 == 0
}

func day(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	require.NoError(t, err)
	return d
}
