package route

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func templateOf(path string) string { return string(AppendTemplate(nil, path)) }

// Words of a program stay in the name of a route.
func TestATemplateKeepsWords(t *testing.T) {
	for _, path := range []string{
		"", "/", "//", "/orders", "/orders/", "/oauth2/token", "/OAuth2/token", "/v1beta1/x", "/v2/x", "/v2.1/x", "/v1alpha/x", "/v12rc1",
		"/pay.v1.Refunds/Get", "/grpc.health.v1.Health/Check", "/google.cloud.bigquery.storage.v1.BigQueryRead/CreateReadSession",
		"/pay.v1.Refunds/GetURLByID", "/pay.v1.RefundsAPI/ListVMs", "/api/user-profile/change_password", "/.well-known/openid-configuration",
		"/favicon.ico", "/robots.txt", "/login/2fa", "/s3/buckets", "/ipv6", "/http2", "/i18n/messages", "/$metadata", "/$batch",
		"/getUserById", "/HTTPServer", "/catalogService", "/users/[masked]", "/facade", "/decade", "/METRICS", "/internationalization",
		"/payments/authorizations/reversals", "/swagger-ui/index.html", "/a/b/c",
	} {
		assert.Equal(t, path, templateOf(path))
	}
}

// What names one of many things does not.
func TestATemplateHidesIdentifiers(t *testing.T) {
	for _, segment := range []string{
		"7", "1234", "-1", "3.14", "2024-01-31", "10.0.0.1", "1.0", "550e8400-e29b-41d4-a716-446655440000", "deadbeef", "deadbee7", "DEADBEEF",
		"ada@example.com", "ada%40example.com", "Ada L", "Zoë", "O'Neill", "name=ada", "a;jsessionid=1", "+4930123456", "orders:7",
		"01ARZ3NDEKTSV4RRFFQ69G5FAV", "cjld2cjxh0000qzrmn831i7rn", "V1StGXR8_Z5jdHi6B-myT", "0ujtsYcgvSTl8PAuAdqWYSMnLOv", "dQw4w9WgXcQ",
		"cus_NffrFeUfNV2Hib", "pi_3MtwBwLkdIwHu7ix28a3tqPa", "sk_live_51H8x", "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", "aGVsbG8gd29ybGQ", "SGVsbG8sIFdvcmxkIQ",
		"user1234", "order-12", "bob12", "U024BE7LH", "4111111111111111", "DE89370400440532013000", "130692544",
		"ten-things-that-you-should-know-about-routes", strings.Repeat("x", 33), "2023-10-16", "report-2024.pdf",
		"v1234", "v", // a version has a number of few digits; "v" alone is a word
	} {
		want := "/users/{}"
		if segment == "v" {
			want = "/users/v"
		}
		assert.Equal(t, want, templateOf("/users/"+segment), segment)
	}
	assert.Equal(t, "/users/{}/orders/{}/", templateOf("/users/1234/orders/5678/"))
	assert.Equal(t, "/a.B/{}", templateOf("/a.B/sk_live_51H8x"), "it is no name of a method")
}

// randomTokens are identifiers and secrets of the usual codings, drawn by chance.
var randomTokens = map[string]func(random []byte) string{
	"hex":       func(b []byte) string { return hex.EncodeToString(b) },
	"HEX":       func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) },
	"base32":    func(b []byte) string { return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b) },
	"base64url": func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) },
	"UUID": func(b []byte) string {
		return fmt.Sprintf("%x-%x-4%x-8%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
	},
	"base62":    alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
	"base58":    alphabet("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
	"base36":    alphabet("0123456789abcdefghijklmnopqrstuvwxyz"),
	"decimal":   alphabet("0123456789"),
	"prefixed":  func(b []byte) string { return "tok_" + base64.RawURLEncoding.EncodeToString(b) },
	"versioned": func(b []byte) string { return "v1." + base64.RawURLEncoding.EncodeToString(b) },
	"e-mail":    func(b []byte) string { return hex.EncodeToString(b[:3]) + "@example.com" },
}

func alphabet(letters string) func([]byte) string {
	return func(random []byte) string {
		out := make([]byte, 22)
		for i := range out {
			out[i] = letters[(int(random[i%len(random)])<<8+int(random[(i+7)%len(random)]))%len(letters)]
		}
		return string(out)
	}
}

// A token of 16 bytes is hardly ever part of a route: of 20,000 of each kind at most 20, which
// happen to have no digit and as few capitals as words have.
func TestARouteHoldsNoTokens(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	for kind, token := range randomTokens {
		kept := 0
		for range 20_000 {
			var b [16]byte
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			if s := token(b[:]); strings.Contains(templateOf("/reset/"+s+"/confirm"), s) {
				kept++
			}
		}
		t.Logf("%s: %d", kind, kept)
		assert.LessOrEqual(t, kept, 20, kind)
	}
}

// Ids never make more than a few routes.
func TestIdentifiersMakeFewRoutes(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	routes := map[string]bool{}
	for i := range 10_000 {
		for _, id := range []string{strconv.Itoa(i), fmt.Sprintf("user%d", i+10), fmt.Sprintf("%08x", random.Uint32()), fmt.Sprintf("order-%d", i), rand.Text()} {
			routes[templateOf("/orders/"+id+"/lines")] = true
		}
	}
	assert.Less(t, len(routes), 20, "%v", routes)
}

func FuzzATemplateIsBounded(f *testing.F) {
	for _, path := range []string{"/users/7", "/pay.v1.Refunds/Get", "/a%2Fb", "/v1beta1", "$", ".", "-", "_", "/$7", "\xff"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := templateOf(path)
		assert.Equal(t, strings.Count(path, "/"), strings.Count(got, "/"))
		for _, segment := range strings.Split(got, "/") {
			assert.LessOrEqual(t, len(segment), maxService)
		}
		assert.Equal(t, got, templateOf(strings.ReplaceAll(got, "{}", "7")), "what it makes of itself is itself")
	})
}

func TestAPatternThatMatchesAnyRestOfAPathNamesNothing(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "", "/": "", "GET /": "", "example.com/": "", "/{path...}": "", "/api/{path...}": "", "GET /api/": "", "/api/*": "", "/*": "", "/files/*path": "", "/files*": "",
		"/{$}": "PUT /{$}", "/orders/{id}": "PUT /orders/{id}", "/{id}": "PUT /{id}", "POST /orders": "POST /orders", "/a/{b...}/c": "PUT /a/{b...}/c",
		"example.com/orders": "PUT example.com/orders", "GET example.com/orders": "GET example.com/orders", "GET\t/tab": "GET\t/tab",
	} {
		assert.Equal(t, want, string(AppendPattern(nil, "PUT", pattern)), pattern)
	}
}
