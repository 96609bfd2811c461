package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// written has values of each kind as people and programs write them.
var written = []struct {
	kind   Kind
	values []string
}{
	{Card, []string{"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "3782 822463 10005"}},
	{Email, []string{"ada@example.com", "ada.l+x@mail.example.co.uk"}},
	{Phone, []string{"+4917112345678", "+49 171 1234567", "(212) 555-0187", "212-555-0187", "212.555.0187", "06-12-34-56-78", "+376 312345", "+298 211234", "+682 71234"}},
	{IBAN, []string{"DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "DE89-3704-0044-0532-0130-00", "de89370400440532013000"}},
	{NationalID, []string{
		"219-09-9998", "130-692-544", "130 692 544", "2341 2341 2346", "2341-2341-2346", "AB123456C", "AB 12 34 56 C", "AB-12-34-56-C",
		"12345678Z", "12345678z", "12345678-Z", "12.345.678-Z", "X1234567L", "x-1234567-l", "RSSMRA85T10A562S", "rssmra85t10a562s", "RSSMRA 85T10 A562S",
		"529.982.247-25", "529 982 247 25", "529982247-25", "12.345.678-5", "12345678-5", "756.9217.0769.85", "756 9217 0769 85",
		"85.07.30-033.28", "85 07 30 033 28", "85073003328", "1 80 12 45 678 901 53", "180124567890153", "811228-9874",
	}},
	{JWT, []string{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"}},
	{APIKey, []string{"AKIAIOSFODNN7EXAMPLE", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "glcbt-64_abcdefghijklmnop1234", "shpca_0123456789abcdef0123456789abcdef"}},
	{IP, []string{"203.0.113.9", "2001:db9::8a2e:370:7334"}},
}

// left is value, if it can still be read in text once the findings are gone.
func left(value, text string, found []Finding) string {
	var rest strings.Builder
	at := 0
	for _, f := range found {
		rest.WriteString(text[at:f.Start])
		rest.WriteString("\n")
		at = f.End
	}
	rest.WriteString(text[at:])
	if strings.Contains(rest.String(), value) {
		return value
	}
	return ""
}

// Whatever stands beside a value is no reason not to see it, unless it makes the value a part of
// a longer number or word.
func TestAValueIsFoundBesideAnything(t *testing.T) {
	before := []string{"", " ", "x_", "file_", "<!--", "(", "[", "{", `"`, "'", "=", ":", ";", ",", ">", "/", "|", "*", "#", "\n", "\t", "é", "—", "\u00a0", "\ufeff"}
	behind := []string{
		"", " ", "_x", "_2024", "-->", "--", "</b>", ".", ".pdf", ",", ";", ":", ")", "]", "}", `"`, "'", "!", "?", "/", "|", "*", "\n", "\t", "é", "—",
		"\u00a0", "-", "_", "=", "^", "~",
	}
	for _, w := range written {
		for _, value := range w.values {
			for _, b := range before {
				for _, a := range behind {
					text := b + value + a
					assert.Empty(t, left(value, text, Text(nil, []byte(text), All)), "%s in %q", w.kind, text)
				}
			}
		}
	}
}

// A finding ends where the value does, whatever hangs on to it.
func TestALongerTokenIsCutBackToTheValueInIt(t *testing.T) {
	for text, want := range map[string]string{
		"<!--ada@example.com-->":                         "email:ada@example.com",
		"ada@example.com.1":                              "email:ada@example.com",
		"ada@example.com-2":                              "email:ada@example.com",
		"ada.@example.com":                               "email:ada.@example.com",
		strings.Repeat("x", 60) + "_ada@a.com":           "email:" + strings.Repeat("x", 60) + "_ada@a.com",
		strings.Repeat("x", 90) + "@a.com":               "email:" + strings.Repeat("x", 64) + "@a.com",
		"x_DE89370400440532013000.pdf":                   "iban:DE89370400440532013000",
		"DE89370400440532013000EUR":                      "iban:DE89370400440532013000",
		"203.0.113.9-203.0.113.20":                       "ip:203.0.113.9 ip:203.0.113.20",
		"10.0.0.1-203.0.113.20":                          "ip:203.0.113.20",
		"2001:db9::1-2001:db9::9":                        "ip:2001:db9::1 ip:2001:db9::9",
		"203.0.113.9.example.net":                        "ip:203.0.113.9",
		"203.0.113.9_access.log":                         "ip:203.0.113.9",
		"4111111111111111-123":                           "card:4111111111111111",
		"123-4111-1111-1111-1111-456":                    "card:4111-1111-1111-1111",
		"%B4111111111111111^LOVELACE/ADA^2512":           "card:4111111111111111",
		";4111111111111111=25121010000012300?":           "card:4111111111111111",
		"4111111111111111D25121010000012300":             "card:4111111111111111",
		"pan4111111111111111x":                           "card:4111111111111111",
		"+4917112345678-123":                             "phone:+4917112345678",
		"+4917112345678x12":                              "phone:+4917112345678",
		"AKIAIOSFODNN7EXAMPLEabc":                        "api-key:AKIAIOSFODNN7EXAMPLE",
		"t_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln": "jwt:eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln",
		"Basic dXNlcjpwYXNzd29yZA==x":                    "bearer:dXNlcjpwYXNzd29yZA==x",
		"BASIC dXNlcjpwYXNzd29yZA==":                     "bearer:dXNlcjpwYXNzd29yZA==",
		"bEARER mF_9.B5f-4.1JqM":                         "bearer:mF_9.B5f-4.1JqM",

		"1.2.3.4-beta":             "",
		"tool-131.45.203.9.tar.gz": "",
		"131.45.203.9.1":           "",
		"0.4111111111111111":       "",
		"4111111111111111.5":       "",
		"a+4915112345678b":         "",
		"icon@2x.png":              "",
		"lib@v1.2.3":               "",
	} {
		assert.Equal(t, want, strings.Join(shown(text, Text(nil, []byte(text), All)), " "), text)
	}
}

// respelled has ways to write the same text.
var respelled = map[string]func(string) string{
	"no-break spaces":       strings.NewReplacer(" ", "\u00a0").Replace,
	"narrow spaces":         strings.NewReplacer(" ", "\u202f").Replace,
	"ideographic spaces":    strings.NewReplacer(" ", "\u3000").Replace,
	"tabs":                  strings.NewReplacer(" ", "\t").Replace,
	"references":            strings.NewReplacer(" ", "&#160;", "-", "&#8209;", ".", "&#46;", "@", "&#64;", "+", "&#43;").Replace,
	"names":                 strings.NewReplacer(" ", "&nbsp;", "-", "&hyphen;", ".", "&period;", "@", "&commat;", "+", "&plus;").Replace,
	"without semicolons":    strings.NewReplacer("@", "&#64").Replace,
	"percents":              strings.NewReplacer(" ", "%C2%A0", "-", "%E2%80%91", "@", "%40", "+", "%2B").Replace,
	"percents of scripts":   strings.NewReplacer(" ", "%u00A0", "-", "%u2011", "@", "%u0040", "+", "%u002B").Replace,
	"escapes":               strings.NewReplacer(" ", `\u00a0`, "-", `\u2011`, "@", `\u0040`, "+", `\u002b`).Replace,
	"escapes of scripts":    strings.NewReplacer(" ", `\xa0`, "-", `\u{2011}`, "@", `\x40`, "+", `\x2b`).Replace,
	"no-break hyphens":      strings.NewReplacer("-", "\u2011").Replace,
	"dashes":                strings.NewReplacer("-", "\u2013").Replace,
	"minus signs":           strings.NewReplacer("-", "\u2212").Replace,
	"full width":            wide,
	"Arabic digits":         digitsFrom('٠'),
	"Persian digits":        digitsFrom('۰'),
	"Devanagari digits":     digitsFrom('०'),
	"Bengali digits":        digitsFrom('০'),
	"mathematical digits":   digitsFrom('𝟎'),
	"lowered digits":        digitsFrom('₀'),
	"invisible between all": func(s string) string { return strings.Join(strings.Split(s, ""), "\u200b") },
	"soft hyphens":          func(s string) string { return strings.Join(strings.Split(s, ""), "\u00ad") },
	"marks of direction":    func(s string) string { return "\u202a" + s + "\u202c" },
}

func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if '!' <= r && r <= '~' {
			return r - '!' + 0xff01
		}
		return r
	}, s)
}

func digitsFrom(zero rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return r - '0' + zero
			}
			return r
		}, s)
	}
}

func TestAValueIsFoundHoweverItIsSpelled(t *testing.T) {
	for _, w := range written {
		for _, value := range w.values {
			for name, respell := range respelled {
				text := respell(value)
				got := strings.Join(shown(text, Text(nil, []byte(text), All)), " ")
				const marks = "\u202a\u202c"
				got = strings.NewReplacer("\u202a", "", "\u202c", "").Replace(got)
				assert.Equal(t, w.kind.String()+":"+strings.Trim(text, marks), got, "%s with %s", value, name)
			}
		}
	}
}

// One number of each country, as its numbering plan has them.
func TestEachCallingCodeHasItsNumbers(t *testing.T) {
	for _, number := range strings.Fields(phoneExamples) {
		assert.Equal(t, []string{"phone:" + number}, shown(number, Text(nil, []byte(number), All)))
	}
	for _, text := range []string{"+37612", "+682123456789", "+2981234567", "+49", "+99912345678"} { // too short, too long, no country
		assert.Empty(t, Text(nil, []byte(text), All), text)
	}
}

// Each service has its documented prefixes.
func TestEachServiceHasItsPrefixes(t *testing.T) {
	const hex, word = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5kL7nP9rS1tU3wX5zA7cD9fG1iJ3kM5oQ7rT9vX1"
	for service, keys := range map[string][]string{
		"AWS":    {"AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "ABIAIOSFODNN7EXAMPLE", "ACCAIOSFODNN7EXAMPLE", "ABSK" + word + word},
		"GitHub": {"github_pat_" + (word + word)[:82]},
		"GitLab": {
			"glpat-" + word[:20], "glpat-" + word[:27] + ".01.0z1abcdef", "gloas-" + hex, "gldt-" + word[:20], "glrt-" + word[:20], "glrtr-" + word[:20],
			"glcbt-1a_" + word[:20], "glptt-" + hex[:40], "glft-" + word[:20], "glimt-" + word[:25], "glagent-" + word[:50], "glwt-" + word[:20],
			"glsoat-" + word[:20], "glffct-" + word[:20],
		},
		"Slack": {
			"xoxb-1234567890-" + word[:24], "xoxp-1234567890-" + word[:24], "xoxa-2-" + word[:24], "xoxr-" + word[:24], "xoxs-" + word[:24],
			"xoxc-" + word[:24], "xoxd-" + word[:20] + "%2B" + word[:20], "xoxe-1-" + word[:24], "xoxe.xoxp-1-" + word[:24],
			"xapp-1-A1-2-" + word[:24], "xwfp-1-" + word[:24],
		},
		"Stripe":       {"sk_live_" + word[:24], "sk_test_" + word[:24], "rk_live_" + word[:24], "rk_test_" + word[:24], "sk_org_live_" + word[:24], "whsec_" + word[:32]},
		"Google":       {"AIza" + word[:35], "ya29." + word[:40], "GOCSPX-" + word[:28], "1//0" + word[:40]},
		"npm":          {"npm_" + word[:36]},
		"PyPI":         {"pypi-AgEIcHlwaS5vcmc" + word, "pypi-AgENdGVzdC5weXBpLm9yZw" + word},
		"Docker":       {"dckr_pat_" + word[:27], "dckr_oat_" + word[:32]},
		"SendGrid":     {"SG." + word[:22] + "." + word[:43]},
		"Shopify":      {"shpat_" + hex[:32], "shpca_" + hex[:32], "shppa_" + hex[:32], "shpss_" + hex[:32], "shpua_" + hex[:32], "shptka_" + hex[:32]},
		"OpenAI":       {"sk-proj-" + word[:60], "sk-svcacct-" + word[:60], "sk-admin-" + word[:60], "sk-None-" + word[:60], "sk-" + word[:20] + "T3BlbkFJ" + word[:20]},
		"Anthropic":    {"sk-ant-api03-" + word[:70], "sk-ant-admin01-" + word[:70]},
		"Hugging Face": {"hf_" + word[:34], "api_org_" + word[:34]},
		"Vault":        {"hvs." + word[:24], "hvb." + word, "hvr." + word},
		"DigitalOcean": {"dop_v1_" + hex, "doo_v1_" + hex, "dor_v1_" + hex},
		"Azure":        {"AccountKey=" + word + word[:9] + "==", "sig=" + word[:43] + "%3D"},
	} {
		for _, key := range keys {
			for _, text := range []string{key, "x=" + key + "\n", `{"k":"` + key + `"}`, key + "!"} {
				found := Text(nil, []byte(text), All)
				if assert.Len(t, found, 1, "%s: %s", service, text) {
					assert.Equal(t, APIKey, found[0].Kind)
					assert.True(t, strings.HasSuffix(key, text[found[0].Start:found[0].End]), "%s: %s in %s", service, text[found[0].Start:found[0].End], text)
				}
			}
		}
	}
}

// phoneExamples are numbers that national plans give as examples, one of each length of a fixed
// line, a mobile and a line over the internet.
const phoneExamples = "" +
	"+12015550123 +73011234567 +20234567890 +201001234567 +27101234567 +302123456789 +31101234567 +3212345678 " +
	"+32450001234 +33123456789 +34810123456 +3612345678 +36201234567 +390212345678 +40211234567 +41212345678 " +
	"+431234567890 +43664123456 +441212345678 +4532123456 +468123456 +46701234567 +4721234567 +48123456789 " +
	"+4930123456 +4915123456789 +5111234567 +51912345678 +522001234567 +5371234567 +541123456789 +5491123456789 " +
	"+551123456789 +5511961234567 +56600123456 +576012345678 +582121234567 +60323856789 +601546012345 +61212345678 " +
	"+62218350123 +63232345678 +639051234567 +6432345678 +64211234567 +6561234567 +6621234567 +66812345678 " +
	"+81312345678 +819012345678 +8222123456 +821020000000 +842101234567 +84912345678 +861012345678 +8613123456789 " +
	"+902123456789 +917410410123 +922123456789 +93234567890 +94112345678 +951234567 +9592123456 +982123456789 " +
	"+211181234567 +212520123456 +21312345678 +213551234567 +21630010123 +218212345678 +2205661234 +221301012345 " +
	"+22235123456 +22320212345 +22430241234 +224601123456 +2252123456789 +22620491234 +22720201234 +22822212345 " +
	"+2290120211234 +22985751234 +23054480123 +2303201234 +23121234567 +231770123456 +23222221234 +233302345678 " +
	"+2342033123456 +23522501234 +23621612345 +237222123456 +2382211234 +2392221234 +240333091234 +24101441234 " +
	"+242222123456 +2431234567 +243991234567 +244222123456 +245443201234 +2454012345 +2463709100 +24762889 " +
	"+2484217123 +249153123456 +250250123456 +251111112345 +2524012345 +25271123456 +25321360003 +254202012345 " +
	"+255222345678 +256312345678 +25722201234 +25821123456 +258821234567 +260211234567 +261202123456 +262262161234 " +
	"+2631312345 +263712345678 +2638686123456 +26461221234 +264811234567 +2651234567 +265991234567 +26622123456 " +
	"+2672401234 +26771123456 +26822171234 +2697712345 +29022158 +2908999 +2918370362 +2975212345 +298201234 " +
	"+299321000 +35020012345 +351212345678 +35227123456 +352628123456 +3532212345 +353850123456 +3544101234 " +
	"+35522345678 +355672123456 +35621001234 +35722345678 +358131234567 +3592123456 +35943012345 +37031234567 " +
	"+37163123456 +3723212345 +37251234567 +37322212345 +37410123456 +375152450911 +376712345 +37799123456 " +
	"+377612345678 +3780549886377 +37866661212 +380311234567 +38110234567 +381601234567 +38230234567 +38328012345 " +
	"+38512345678 +385921234567 +38612345678 +38730212345 +38922012345 +420212345678 +421221234567 +4232345678 " +
	"+423660234567 +50031234 +5012221234 +50222456789 +50321234567 +50422123456 +50521234567 +50622123456 " +
	"+5072001234 +50761234567 +508430123 +50922453300 +590590201234 +59122123456 +5922201234 +59322123456 " +
	"+593991234567 +594594101234 +595212345678 +596596301234 +597211234 +5977412345 +59821231234 +59994351234 " +
	"+5997151234 +6702112345 +67077212345 +672106609 +6732345678 +6744441234 +6753123456 +67570123456 +67620123 " +
	"+6767715123 +67740123 +6777421234 +67822123 +6785912345 +6793212345 +6802771234 +681721234 +68221234 +6837012 " +
	"+6838884012 +68522123 +6857212345 +68631234 +68672001234 +687201234 +68820123 +688901234 +68940412345 +6903101 " +
	"+6913201234 +6922471234 +85021234567 +8501921234567 +85221234567 +85328212345 +85523756789 +85621212862 " +
	"+8562023123456 +88027111234 +8801812345678 +886221234567 +8867012345678 +9606701234 +9611123456 +96171123456 " +
	"+96262001234 +962790123456 +963112345678 +96412345678 +9647912345678 +96522345678 +966112345678 +9671234567 " +
	"+967712345678 +96823123456 +97022234567 +970599123456 +97122345678 +971501234567 +97221234567 +972502345678 " +
	"+97317001234 +97444123456 +9752345678 +97517123456 +97653123456 +97714567890 +9779841234567 +992372123456 " +
	"+99312345678 +994123123456 +995322123456 +996312123456 +998669050123"
