package token

import (
	"crypto/aes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The nine samples that NIST publishes for FF1.
func TestFF1AgreesWithTheSamplesOfNIST(t *testing.T) {
	const (
		alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
		key128   = "2b7e151628aed2a6abf7158809cf4f3c"
		key192   = key128 + "ef4359d8d580aa4f"
		key256   = key192 + "7f036d6f04fc6a94"
		none     = ""
		ten      = "39383736353433323130"
		eleven   = "3737373770717273373737"
	)
	for i, sample := range []struct {
		key, tweak  string
		radix       uint64
		plain, want string
	}{
		{key128, none, 10, "0123456789", "2433477484"},
		{key128, ten, 10, "0123456789", "6124200773"},
		{key128, eleven, 36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"},
		{key192, none, 10, "0123456789", "2830668132"},
		{key192, ten, 10, "0123456789", "2496655549"},
		{key192, eleven, 36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"},
		{key256, none, 10, "0123456789", "6657667009"},
		{key256, ten, 10, "0123456789", "1001623463"},
		{key256, eleven, 36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"},
	} {
		key, err := hex.DecodeString(sample.key)
		require.NoError(t, err)
		tweak, err := hex.DecodeString(sample.tweak)
		require.NoError(t, err)
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		x := take(sample.plain, alphabet)
		ff1(block, tweak, sample.radix, x)
		assert.Equal(t, sample.want, put(sample.plain, alphabet, x), "sample %d", i+1)
	}
}

// Every string of up to four digits, and others as small: all values occur, each once.
func TestSmallDomainsArePermuted(t *testing.T) {
	k := testKeys(t)
	for _, domain := range []struct {
		radix uint64
		n     int
	}{{10, 1}, {10, 2}, {10, 3}, {10, 4}, {16, 1}, {16, 3}, {26, 1}, {26, 2}, {2, 9}} {
		size := power(domain.radix, domain.n)
		seen := map[uint64]bool{}
		moved := 0
		for value := range size {
			x := make([]byte, domain.n)
			symbols(domain.radix, value, x)
			k.permute([]byte("t"), domain.radix, x)
			got := number(domain.radix, x)
			require.Less(t, got, size)
			require.False(t, seen[got], "radix %d, %d symbols: %d twice", domain.radix, domain.n, got)
			seen[got] = true
			if got != value {
				moved++
			}
		}
		assert.Greater(t, moved, int(size)/2, "radix %d, %d symbols", domain.radix, domain.n)
	}
}

func TestATweakChangesThePermutation(t *testing.T) {
	k := testKeys(t)
	for _, n := range []int{12, 38, 39, 200} {
		a, b := make([]byte, n), make([]byte, n)
		k.permute([]byte("a"), 10, a)
		k.permute([]byte("b"), 10, b)
		assert.NotEqual(t, a, b, "%d digits", n)
	}
	var a, b []byte
	for symbol := range byte(26) {
		a = append(a, k.rank([]byte("a"), 26, symbol))
		b = append(b, k.rank([]byte("b"), 26, symbol))
	}
	assert.NotEqual(t, a, b)
}

// The halves of FF1 must fit in 64 bits, and nothing that does is left to the stream.
func TestHalvesThatFitArePermutedByFF1(t *testing.T) {
	assert.Equal(t, uint64(1e19), power(10, 19))
	assert.Zero(t, power(10, 20))
	assert.Equal(t, uint64(1)<<60, power(16, 15))
	assert.Zero(t, power(16, 16), "2^64 itself does not fit")
}

func TestLuhnAndIBANAgreeWithThePublishedExamples(t *testing.T) {
	for digits, want := range map[string]bool{
		"4111111111111111": true, "5555555555554444": true, "378282246310005": true, // test cards of the schemes
		"6011000990139424": true, "4111111111111112": false, "79927398713": true, "79927398710": false,
	} {
		assert.Equal(t, want, luhn(take(digits, decimal)) == 0, digits)
	}
	for account, want := range map[string]bool{ // of the SWIFT registry
		"GB29NWBK60161331926819": true, "DE89370400440532013000": true, "NL91ABNA0417164300": true,
		"FR1420041010050500013M02606": true, "NO9386011117947": true, "MT84MALT011000012345MTLCAST001S": true,
		"GB29 NWBK 6016 1331 9268 19": true, "GB28NWBK60161331926819": false, "gb29nwbk60161331926819": false,
		"GB29NWBK6016": false, " GB29NWBK60161331926819": false, "1B29NWBK60161331926819": false,
	} {
		assert.Equal(t, want, isIBAN(account), account)
	}
}

func TestEveryKindIsRecognisedAndNothingElse(t *testing.T) {
	for want, values := range map[kind][]string{
		empty: {""},
		date: {
			"2024-02-29", "1969-12-31", "0000-01-01", "9999-12-31", "2024-02-29T23:59:59Z", "2024-02-29t23:59:59.123456789z",
			"2024-02-29 23:59:59+02:00", "2024-02-29T23:59:59", "2024-02-29T23:59", "2024-02-29T23:59Z",
		},
		uuid:   {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "00000000-0000-0000-0000-000000000000"},
		ipv4:   {"192.0.2.1", "0.0.0.0", "255.255.255.255"},
		ipv6:   {"::", "::1", "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "::ffff:192.0.2.1", "fe80::1%eth0", "00:11:22:33:44:55:66:77"},
		digits: {"0", "007", "2024-02-30", "2023-02-29", "4111 1111 1111 1111", "+49 (0)30 901820", "1.2.3", "2024-2-9", "256.1.1.1", "12.50", "-3", "20240229"},
		iban:   {"DE89 3704 0044 0532 0130 00", "NO9386011117947"},
		hexadecimal: {
			"deadbeef", "DEADBEEF", "d41d8cd98f00b204e9800998ecf8427e", "00:1a:2b:3c:4d:5e", "00:11:22:33:44:55", "00-1A-2B-3C-4D-5E",
			"f81d4fae-7dec-11d0-a765-00a0c91e6bf",
		},
		email: {"a@b.example", "first.last+tag@mail.example.org", "jürgen@bücher.example", "A@B.CO"},
		text: {
			" ", "Ada", "bead", "DeadBeef", "2024-02-29x", "2024-02-29T25:00:00Z", "2024-02-29TZ",
			"f81d4fae-7dec-11d0-A765-00a0c91e6bf6", ":deadbeef", "12:30:45", "a@b", "a@b@c.example", "a b@c.example", "a@b..c", "@b.example",
			"Ada <a@b.example>", "GB29  NWBK60161331926819", "GB29NWBK60161331926818", "ORD-17", "١٢٣", "-", "()", "\x00", "\xff",
		},
	} {
		for _, v := range values {
			assert.Equal(t, string(want), string(kindOf(v)), "%q", v)
		}
	}
	assert.Equal(t, text, kindOf("2024-02-29T00:00:00."+strings.Repeat("0", maxShort)))
	assert.Equal(t, text, kindOf(strings.Repeat("a", 243)+"@b.example.com"), "longer than an address can be (RFC 5321 section 4.5.3.1.3)")
	assert.Equal(t, email, kindOf(strings.Repeat("a", 240)+"@b.example.com"))
}

// What the tokens of two kinds could meet in: a string of digits that looks like a date,
// hex without a letter, a UUID in the other case.
func TestATokenIsOfTheKindOfItsValue(t *testing.T) {
	k := &Tokenizer{testKeys(t)}
	r := rand.New(rand.NewPCG(1, 2))
	for want, layouts := range map[kind][]string{
		digits:      {"9999-99-99", "999.9.9.9", "999.99.9.9", "-9", "9 999", "9999999999"},
		hexadecimal: {"xxxxxxxx", strings.ToUpper("xxxxxxxx"), "xx:xx:xx:xx", strings.ToUpper("xx:xx:xx:xx"), strings.ToUpper("xx-xx-xx-xx"), "xxxx-xx-xx"},
		uuid:        {"99999999-9999-9999-9999-99999999999x", "99999999-9999-9999-9999-99999999999X"},
		ipv4:        {"99.9.9.9"},
		date:        {"9999-12-31", "2099-12-31 23:59"},
		email:       {"xxx@xxx.xxx"},
		text:        {"xyz xyz"},
	} {
		for _, layout := range layouts {
			tried := 0
			for range 3000 {
				value := strings.Map(func(c rune) rune {
					switch c {
					case '9':
						return '0' + r.Int32N(10)
					case 'x':
						return rune(lowerHex[r.IntN(16)])
					case 'X':
						return rune(upperHex[r.IntN(16)])
					}
					return c
				}, layout)
				if kindOf(value) != want {
					continue
				}
				tried++
				token := k.Text(value)
				require.Equal(t, string(want), string(kindOf(token)), "%q: %q", value, token)
				require.Equal(t, hexOf(value), hexOf(token), "%q: %q", value, token)
			}
			assert.Greater(t, tried, 1000, layout)
		}
	}
}

func testKeys(t testing.TB) *keys {
	t.Helper()
	k, err := New([]byte("a key for tests, not for use"))
	require.NoError(t, err)
	return k.keys
}
