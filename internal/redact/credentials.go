package redact

import (
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/message"
)

// DropCredentials removes the fields and parameters that carry credentials, and the user
// information of URLs.
func DropCredentials() *Rule { return maskCredentials("DropCredentials", Drop()) }

// MaskCredentials replaces them by Masked.
func MaskCredentials() *Rule { return maskCredentials("record mask", Replacement{}) }

func maskCredentials(option string, with Replacement) *Rule {
	r := &Rule{Option: option, with: with}
	r.mask = func(m *message.Message, with Replacement) error {
		withoutUsers(m)
		for _, h := range [...]http.Header{m.Header, m.Trailer} {
			for name, values := range h {
				if credentialNames.Has(name) {
					maskField(h, name, values, with)
					continue
				}
				for i, v := range values {
					if masked := WithoutUser(v); masked != v {
						values = slices.Clone(values) // they may be shared with another message
						values[i], h[name] = masked, values
					}
				}
			}
		}
		maskQuery(m, credentialParameters, with)
		return nil
	}
	return r
}

// withoutUsers removes the user information from the URL of m, and from the URLs in its query and
// its fragment.
func withoutUsers(m *message.Message) {
	u := m.URL
	if u == nil {
		return
	}
	opaque, query := WithoutUser(u.Opaque), WithoutUserInQuery(u.RawQuery)
	if u.User != nil || opaque != u.Opaque || query != u.RawQuery || u.Fragment != "" {
		u := *u
		u.User, u.Opaque, u.RawQuery = nil, opaque, query
		maskFragment(&u, WithoutUser)
		m.URL = &u
	}
}

// IsCredential reports whether the field with that name, in its usual spelling, carries credentials.
func IsCredential(name string) bool {
	_, found := slices.BinarySearch(credentials[:], name)
	return found
}

// Forwarded returns which fields with credentials of a request are in the header of its copy as they
// came, and which are not, in order.
func Forwarded(request, sent http.Header) (kept, lost []string) {
	for name, values := range request {
		switch {
		case len(values) == 0 || !IsCredential(name):
		case slices.Equal(values, sent[name]):
			kept = append(kept, name)
		default:
			lost = append(lost, name)
		}
	}
	slices.Sort(kept)
	slices.Sort(lost)
	return kept, lost
}

// Refused returns a note about an answer that refuses a copy for want of the credentials that it
// lost, or "". Primary is the status of the primary's answer.
func Refused(lost []string, status, primary int) string {
	if len(lost) == 0 || status == primary || status != http.StatusUnauthorized && status != http.StatusForbidden {
		return ""
	}
	return "credentials were not forwarded: " + strings.Join(lost, ", ") + "; give the copy its own with SetHeader"
}

var credentialNames = fields.NewNames(credentials[:]...)

// credentials are the fields that DropCredentials removes and that the record mask blanks,
// in order: those of RFC 9110, RFC 6265, RFC 9440 and RFC 9449, and what gateways, clouds
// and services call theirs.
var credentials = [...]string{
	"Access-Token",
	"Api-Key",
	"Api-Token",
	"Apikey",
	"Authentication-Info",
	"Authorization",
	"Cf-Access-Client-Secret",
	"Cf-Access-Jwt-Assertion",
	"Cf-Access-Token",
	"Client-Cert",
	"Client-Cert-Chain",
	"Cookie",
	"Cookie2",
	"Csrf-Token",
	"Dd-Api-Key",
	"Dd-Application-Key",
	"Deploy-Token",
	"Dpop",
	"Id-Token",
	"Job-Token",
	"Ocp-Apim-Subscription-Key",
	"Private-Token",
	"Proxy-Authentication-Info",
	"Proxy-Authorization",
	"Refresh-Token",
	"Set-Cookie",
	"Set-Cookie2",
	"Shadow-Force",
	"Ssl-Client-Cert",
	"Teleport-Jwt-Assertion",
	"X-Access-Token",
	"X-Algolia-Api-Key",
	"X-Amz-Security-Token",
	"X-Amzn-Mtls-Clientcert",
	"X-Amzn-Oidc-Accesstoken",
	"X-Amzn-Oidc-Data",
	"X-Api-Key",
	"X-Api-Secret",
	"X-Api-Token",
	"X-Apikey",
	"X-Arr-Clientcert",
	"X-Auth-Key",
	"X-Auth-Request-Access-Token",
	"X-Auth-Token",
	"X-Authorization",
	"X-Aws-Ec2-Metadata-Token",
	"X-Client-Cert",
	"X-Client-Secret",
	"X-Consul-Token",
	"X-Csrf-Token",
	"X-Csrftoken",
	"X-Forwarded-Access-Token",
	"X-Forwarded-Authorization",
	"X-Forwarded-Client-Cert",
	"X-Functions-Key",
	"X-Github-Token",
	"X-Gitlab-Token",
	"X-Goog-Api-Key",
	"X-Goog-Iap-Jwt-Assertion",
	"X-Hasura-Admin-Secret",
	"X-Honeycomb-Team",
	"X-Id-Token",
	"X-Jwt-Assertion",
	"X-Ms-Client-Principal",
	"X-Ms-Token-Aad-Access-Token",
	"X-Ms-Token-Aad-Id-Token",
	"X-Ms-Token-Aad-Refresh-Token",
	"X-Nomad-Token",
	"X-Original-Authorization",
	"X-Parse-Master-Key",
	"X-Parse-Session-Token",
	"X-Pomerium-Jwt-Assertion",
	"X-Postmark-Server-Token",
	"X-Rapidapi-Key",
	"X-Refresh-Token",
	"X-Sentry-Auth",
	"X-Serverless-Authorization",
	"X-Session-Token",
	"X-Shopify-Access-Token",
	"X-Ssl-Client-Cert",
	"X-Telegram-Bot-Api-Secret-Token",
	"X-Token",
	"X-User-Token",
	"X-Vault-Token",
	"X-Xsrf-Token",
}

// credentialParameters are the parameters of queries that carry credentials, which
// DropCredentials removes and the record mask blanks. Names that programs use for other things
// as well, such as key, token, code and ticket, are not among them: see MaskQuery.
var credentialParameters = NewNames(
	// OAuth 2.0 and OpenID Connect: RFC 6749, RFC 6750 section 2.3, RFC 7523, OpenID Connect Core
	// and RP-Initiated Logout. OAuth 1.0: RFC 5849 section 3.1.
	"access_token", "refresh_token", "id_token", "id_token_hint", "client_secret", "client_assertion", "assertion", "code_verifier",
	"oauth_token", "oauth_verifier", "oauth_signature", "oauth_token_secret",
	// SAML 2.0 Bindings section 3.4
	"SAMLResponse", "SAMLart", "SAMLRequest",
	// Signed URLs. AWS: Signature Version 4 (query string authentication) and 2, CloudFront.
	"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "Signature", "AWSAccessKeyId", "Key-Pair-Id", "Policy",
	// Google Cloud Storage, versions 4 and 2; Azure shared access signatures
	"X-Goog-Signature", "X-Goog-Credential", "GoogleAccessId", "sig",
	// Alibaba Cloud OSS, Tencent Cloud COS, Akamai token authentication
	"x-oss-signature", "x-oss-security-token", "x-oss-credential", "security-token", "OSSAccessKeyId",
	"q-signature", "q-ak", "x-cos-security-token", "hdnts", "hdnea", "hdntl",
	// API keys: Azure API Management, GitLab, and what services without a standard call theirs
	"subscription-key", "private_token", "job_token", "api_key", "apikey", "api-key", "x-api-key", "app_secret", "appsecret", "api_secret",
	"auth_token", "authtoken", "auth-token", "accesstoken", "access-token", "bearer_token", "jwt",
	"password", "passwd", "pwd", "passphrase", "secret",
	// Sessions: Jakarta Servlet section 7.1.3 (as a parameter of the path), PHP session.name, ASP.NET
	"jsessionid", "phpsessid", "aspsessionid", "sessionid", "session_id", "session_token", "csrf_token", "csrftoken", "xsrf_token",
)
