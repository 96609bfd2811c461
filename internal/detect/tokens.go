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
	prefix string // in lower case where the case does not matter
	// match returns what of the text is the credential, whose prefix is start to at; end is 0
	// where it is none.
	match  func(text []byte, start, at int) (from, end int)
	folded bool // the prefix is in any case
}

func (t *token) begins(text []byte) bool {
	if !t.folded {
		return hasPrefix(text, t.prefix)
	}
	return len(text) >= len(t.prefix) && strings.EqualFold(string(text[:len(t.prefix)]), t.prefix)
}

// Alphabets of tokens.
var (
	alnum       = alphabet("")
	base64url   = alphabet("-_")
	hyphened    = alphabet("-")
	underscored = alphabet("_")
	dotted      = alphabet("-_.")
	percented   = alphabet("+/=%")
	token68     = alphabet("-._~+/=") // RFC 9110 section 11.2
	base64std   = alphabet("+/=")
	capitals    = func() (t [256]bool) {
		for c := range t {
			t[c] = isDigit(byte(c)) || isUpper(byte(c))
		}
		return t
	}()
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
// the services document, or publish for the secret scanning of code hosts.
var tokensBy = func() (by [256][]token) {
	add := func(kind Kind, match func([]byte, int, int) (int, int), prefixes ...string) {
		for _, prefix := range prefixes {
			by[prefix[0]] = append(by[prefix[0]], token{kind: kind, prefix: prefix, match: match})
		}
	}
	for _, first := range "Bb" {
		by[first] = append(by[first], token{Bearer, "bearer ", bearer, true}, token{Bearer, "basic ", basic, true})
	}

	add(APIKey, atLeast(16, &capitals), "AKIA", "ASIA", "ABIA", "ACCA") // AWS
	add(APIKey, atLeast(100, &base64std), "ABSK", "bedrock-api-key-")
	add(APIKey, github, "ghp_", "gho_", "ghu_", "ghs_", "ghr_") // GitHub
	add(APIKey, atLeast(82, &underscored), "github_pat_")
	add(APIKey, atLeast(20, &dotted), "glpat-", "gloas-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-",
		"glagent-", "glwt-", "glsoat-", "glffct-") // GitLab
	add(APIKey, atLeast(20, &hyphened), "xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxc-", "xoxo-", "xoxe-", "xoxe.xoxb-",
		"xoxe.xoxp-", "xapp-", "xwfp-") // Slack
	add(APIKey, atLeast(20, &percented), "xoxd-") // the cookie, percent-encoded or not
	add(APIKey, atLeast(16, &alnum), "sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_org_live_", "sk_org_test_")
	add(APIKey, atLeast(24, &base64std), "whsec_")                                              // Stripe
	add(APIKey, atLeast(35, &base64url), "AIza")                                                // Google
	add(APIKey, atLeast(30, &base64url), "ya29.", "1//0")                                       //
	add(APIKey, atLeast(28, &base64url), "GOCSPX-")                                             //
	add(APIKey, atLeast(36, &alnum), "npm_")                                                    // npm
	add(APIKey, atLeast(50, &base64url), "pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw") // PyPI and its test instance
	add(APIKey, atLeast(27, &base64url), "dckr_pat_", "dckr_oat_")                              // Docker
	add(APIKey, atLeast(34, &alnum), "hf_", "api_org_")                                         // Hugging Face
	add(APIKey, atLeast(40, &base64url), "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-")    // OpenAI
	add(APIKey, openAI, "sk-")
	add(APIKey, atLeast(40, &base64url), "sk-ant-")                                                   // Anthropic
	add(APIKey, sendGrid, "SG.")                                                                      // SendGrid
	add(APIKey, atLeast(24, &base64url), "hvs.", "hvb.", "hvr.")                                      // Vault
	add(APIKey, atLeast(64, &hexDigits), "dop_v1_", "doo_v1_", "dor_v1_")                             // DigitalOcean
	add(APIKey, atLeast(32, &hexDigits), "shpat_", "shpca_", "shppa_", "shpss_", "shpua_", "shptka_") // Shopify
	add(APIKey, behind(atLeast(86, &base64std)), "AccountKey=")                                       // Azure Storage
	add(APIKey, behind(atLeast(43, &percented)), "sig=")                                              // a shared access signature of it
	return by
}()

// run returns where the bytes of set that start at i end, but not after most of them.
func run(text []byte, i int, set *[256]bool, most int) int {
	limit := min(len(text), i+most)
	for i < limit && set[text[i]] {
		i++
	}
	return i
}

// atLeast takes all bytes of set, if there are n. Of a key with a fixed length what is behind
// it goes along.
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
	end := run(text, at, &underscored, 256)
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

// openAI takes an older key, which has the base64 of "OpenAI" in the middle.
func openAI(text []byte, start, at int) (int, int) {
	if start > 0 && base64url[text[start-1]] {
		return 0, 0
	}
	end := run(text, at, &base64url, 256)
	if end-at < 40 || !bytes.Contains(text[at:end], []byte("T3BlbkFJ")) {
		return 0, 0
	}
	return start, end
}

// sendGrid takes SG., 22 characters, a dot and 43 of them.
func sendGrid(text []byte, start, at int) (int, int) {
	dot := run(text, at, &base64url, 23)
	if dot-at != 22 || dot == len(text) || text[dot] != '.' {
		return 0, 0
	}
	end := run(text, dot+1, &base64url, 256)
	if end-dot-1 < 43 {
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

// basic takes what stands behind "Basic" (RFC 7617), if it begins with the base64 of a text
// with a colon in it.
func basic(text []byte, _, at int) (int, int) {
	at = skipSpace(text, at)
	end := run(text, at, &base64std, len(text))
	encoded := text[at:min(end, at+1024)]
	if padding := bytes.IndexByte(encoded, '='); padding >= 0 {
		encoded = encoded[:padding]
	}
	if len(encoded)%4 == 1 { // a part of what stands behind it
		encoded = encoded[:len(encoded)-1]
	}
	var plain [768]byte
	n, err := base64.RawStdEncoding.Decode(plain[:], encoded)
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
func (s *scanner) jwt(start int) (end int) {
	text := s.text
	const tries = 4 // in one run of base64url, for linear time
	if start >= s.first {
		s.first, s.tried = run(text, start, &base64url, len(text)), 0
	}
	if s.tried++; s.tried > tries {
		return 0
	}
	var dots [4]int
	parts, at := 1, s.first
	for parts < 5 && at < len(text) && text[at] == '.' {
		dots[parts-1] = at
		parts++
		at = run(text, at+1, &base64url, len(text))
	}
	switch {
	case parts == 4: // one that ends a sentence, or something else behind it
		parts, at = 3, dots[2]
	case parts < 3:
		return 0
	}
	if dots[0]-start < len("eyJhbGciOiIifQ") || dots[1]-dots[0] < 2 && parts == 3 {
		return 0
	}
	var header [3072]byte
	n, err := base64.RawURLEncoding.Decode(header[:], text[start:min(dots[0], start+4096)])
	if err != nil || !bytes.Contains(header[:n], []byte(`"alg"`)) {
		return 0
	}
	return at
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
