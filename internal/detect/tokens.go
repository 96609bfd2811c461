package detect

import (
	"bytes"
	"encoding/base64"
	"hash/crc32"
	"strings"
)

// token is a credential that begins with a prefix, or stands behind one.
type token struct {
	kind   Kind
	prefix string
	// match returns what of text is the credential, whose prefix is start to at; end is 0
	// where it is none.
	match func(text []byte, start, at int) (from, end int)
}

// Alphabets of tokens.
var (
	alnum     = alphabet("")
	base64url = alphabet("-_")
	hyphened  = alphabet("-")
	token68   = alphabet("-._~+/=") // RFC 9110 section 11.2
	base64std = alphabet("+/=")
	hexDigits = func() (t [256]bool) {
		for c := range t {
			t[c] = isHex(byte(c))
		}
		return t
	}()
)

func alphabet(signs string) (t [256]bool) {
	for c := range t {
		t[c] = isWord(byte(c)) || strings.IndexByte(signs, byte(c)) >= 0
	}
	return t
}

// tokensBy are the tokens by the first byte of their prefixes. The shapes are those that
// the services publish, for the secret scanning of code hosts among others.
var tokensBy = func() (by [256][]token) {
	for _, t := range []token{
		{Bearer, "Bearer ", bearer}, {Bearer, "bearer ", bearer}, {Bearer, "BEARER ", bearer},
		{Bearer, "Basic ", basic}, {Bearer, "basic ", basic},
		{JWT, "eyJ", jwt},

		{APIKey, "AKIA", exactly(16, &alnum)}, {APIKey, "ASIA", exactly(16, &alnum)}, // AWS
		{APIKey, "ghp_", github}, {APIKey, "gho_", github}, {APIKey, "ghu_", github}, {APIKey, "ghs_", github},
		{APIKey, "ghr_", github}, {APIKey, "github_pat_", exactly(82, underscored())},
		{APIKey, "glpat-", atLeast(20, &base64url)}, {APIKey, "gldt-", atLeast(20, &base64url)},
		{APIKey, "glrt-", atLeast(20, &base64url)}, // GitLab
		{APIKey, "xoxb-", atLeast(20, &hyphened)}, {APIKey, "xoxp-", atLeast(20, &hyphened)},
		{APIKey, "xoxa-", atLeast(20, &hyphened)}, {APIKey, "xoxr-", atLeast(20, &hyphened)},
		{APIKey, "xoxs-", atLeast(20, &hyphened)}, {APIKey, "xoxc-", atLeast(20, &hyphened)},
		{APIKey, "xoxe-", atLeast(20, &hyphened)}, {APIKey, "xapp-", atLeast(20, &hyphened)}, // Slack
		{APIKey, "sk_live_", atLeast(16, &alnum)}, {APIKey, "sk_test_", atLeast(16, &alnum)},
		{APIKey, "rk_live_", atLeast(16, &alnum)}, {APIKey, "rk_test_", atLeast(16, &alnum)},
		{APIKey, "whsec_", atLeast(24, &base64std)}, // Stripe
		{APIKey, "AIza", exactly(35, &base64url)}, {APIKey, "ya29.", atLeast(30, &base64url)},
		{APIKey, "GOCSPX-", exactly(28, &base64url)}, // Google
		{APIKey, "npm_", exactly(36, &alnum)}, {APIKey, "pypi-AgEIcHlwaS5vcmc", atLeast(50, &base64url)},
		{APIKey, "dckr_pat_", exactly(27, &base64url)}, {APIKey, "hf_", exactly(34, &alnum)},
		{APIKey, "sk-proj-", atLeast(40, &base64url)}, {APIKey, "sk-ant-", atLeast(40, &base64url)},
		{APIKey, "SG.", sendGrid}, {APIKey, "hvs.", atLeast(24, &base64url)},
		{APIKey, "dop_v1_", exactly(64, &hexDigits)}, {APIKey, "doo_v1_", exactly(64, &hexDigits)},
		{APIKey, "shpat_", exactly(32, &hexDigits)}, {APIKey, "shpss_", exactly(32, &hexDigits)},
		{APIKey, "AccountKey=", behind(atLeast(86, &base64std))}, // Azure
	} {
		first := t.prefix[0]
		by[first] = append(by[first], t)
	}
	return by
}()

func underscored() *[256]bool {
	t := alphabet("_")
	return &t
}

// run returns where the bytes of set that start at i end, but not after most of them.
func run(text []byte, i int, set *[256]bool, most int) int {
	limit := min(len(text), i+most)
	for i < limit && set[text[i]] {
		i++
	}
	return i
}

// exactly takes n bytes of set and no more.
func exactly(n int, set *[256]bool) func([]byte, int, int) (int, int) {
	return func(text []byte, start, at int) (int, int) {
		if end := run(text, at, set, n+1); end == at+n {
			return start, end
		}
		return 0, 0
	}
}

// atLeast takes all bytes of set, if there are n.
func atLeast(n int, set *[256]bool) func([]byte, int, int) (int, int) {
	return func(text []byte, start, at int) (int, int) {
		if end := run(text, at, set, len(text)); end >= at+n {
			return start, end
		}
		return 0, 0
	}
}

// behind takes what stands behind the prefix.
func behind(match func([]byte, int, int) (int, int)) func([]byte, int, int) (int, int) {
	return func(text []byte, start, at int) (int, int) {
		if _, end := match(text, start, at); end > 0 {
			return at, end
		}
		return 0, 0
	}
}

// github checks the last six characters, which are the CRC-32 of the thirty before them in
// base 62 (GitHub, "Behind GitHub's new authentication token formats", 2021). Longer tokens
// are newer ones, whose check is not published.
func github(text []byte, start, at int) (int, int) {
	end := run(text, at, underscored(), 256)
	if end-at < 36 {
		return 0, 0
	}
	if end-at == 36 {
		const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		sum := crc32.ChecksumIEEE(text[at : at+30])
		for i := 35; i >= 30; i-- {
			if text[at+i] != digits[sum%62] {
				return 0, 0
			}
			sum /= 62
		}
	}
	return start, end
}

// sendGrid takes SG., 22 characters, a dot and 43 of them.
func sendGrid(text []byte, start, at int) (int, int) {
	dot := run(text, at, &base64url, 23)
	if dot-at != 22 || dot == len(text) || text[dot] != '.' {
		return 0, 0
	}
	end := run(text, dot+1, &base64url, 44)
	if end-dot-1 != 43 {
		return 0, 0
	}
	return start, end
}

// bearer takes what stands behind "Bearer" (RFC 6750 section 2.1), if it does not read like
// the next word of a sentence: twelve characters or more, letters and digits among them.
func bearer(text []byte, _, at int) (int, int) {
	at = skipSpace(text, at)
	end := run(text, at, &token68, len(text))
	var seen class
	for _, c := range text[at:end] {
		seen |= classes[c]
	}
	if end-at < 12 || seen&digit == 0 || seen&(upper|lower) == 0 {
		return 0, 0
	}
	return at, end
}

// basic takes what stands behind "Basic" (RFC 7617), if it is the base64 of a text with a
// colon in it.
func basic(text []byte, _, at int) (int, int) {
	at = skipSpace(text, at)
	end := run(text, at, &base64std, len(text))
	var plain [768]byte
	encoded := text[at:min(end, at+1024)]
	n, err := base64.RawStdEncoding.Decode(plain[:], bytes.TrimRight(encoded, "="))
	if err != nil || n < 3 || bytes.IndexByte(plain[:n], ':') < 0 {
		return 0, 0
	}
	for _, c := range plain[:n] {
		if c < ' ' || c == 0x7f {
			return 0, 0
		}
	}
	return at, end
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	return i
}

// jwt takes three parts of base64url with dots between them (RFC 7519, RFC 7515), the last
// of which may be empty, or the five of an encrypted one (RFC 7516). The first must be a
// JSON object with a member alg: its beginning is looked at, of 4096 bytes.
func jwt(text []byte, start, _ int) (int, int) {
	if start > 0 && base64url[text[start-1]] {
		return 0, 0
	}
	var dots [4]int
	parts, at := 1, run(text, start, &base64url, len(text))
	for parts < 5 && at < len(text) && text[at] == '.' {
		dots[parts-1] = at
		parts++
		at = run(text, at+1, &base64url, len(text))
	}
	switch {
	case parts == 4: // one that ends a sentence, or something else behind it
		parts, at = 3, dots[2]
	case parts < 3:
		return 0, 0
	}
	if dots[0]-start < len("eyJhbGciOiIifQ") || dots[1]-dots[0] < 2 && parts == 3 {
		return 0, 0
	}
	var header [3072]byte
	n, err := base64.RawURLEncoding.Decode(header[:], text[start:min(dots[0], start+4096)])
	if err != nil || !bytes.Contains(header[:n], []byte(`"alg"`)) {
		return 0, 0
	}
	return start, at
}

const pemBegin = "-----BEGIN "

// pem returns where the block of a private key (RFC 7468, RFC 4716) at the start of text ends. One
// that is cut off goes on to the end of the text.
func pem(text []byte) int {
	const longest = len("-----BEGIN ENCRYPTED PRIVATE KEY BLOCK-----") + 16
	label, _, ok := bytes.Cut(text[len(pemBegin):min(len(text), longest)], []byte("-----"))
	if !ok || !bytes.Contains(label, []byte("PRIVATE KEY")) {
		return 0
	}
	at := bytes.Index(text, []byte("-----END "))
	if at < 0 {
		return len(text)
	}
	at += len("-----END ")
	if end := bytes.Index(text[at:min(len(text), at+longest)], []byte("-----")); end >= 0 {
		return at + end + len("-----")
	}
	return at
}
