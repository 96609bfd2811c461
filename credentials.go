package shadow

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/target"
)

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
	forceHeader,
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
var credentialParameters = redact.NewNames(
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

func isCredential(name string) bool {
	_, found := slices.BinarySearch(credentials[:], name)
	return found
}

// EventCredentials is that a copy was sent, with the credentials of the request, to a Remote
// target that has the host the request was for: as a rule that of the primary. It is told
// once.
const EventCredentials EventKind = "credentials"

// credentials looks at what is sent as h: it notes which fields with credentials the
// target does not get as they came, and complains once where it gets them although it may
// be the primary itself. What host the primary has is known from its requests only.
func (a *attempt) credentials(h http.Header) {
	if a.target.URL == "" && a.target.Masker == nil {
		return
	}
	var kept []string
	for name, values := range a.in.Header {
		switch {
		case len(values) == 0 || !isCredential(name):
		case slices.Equal(values, h[name]):
			kept = append(kept, name)
		case a.target.Masker != nil:
			a.lost = append(a.lost, name)
		}
	}
	if a.target.URL == "" || len(kept) == 0 || a.m.warned.Load() {
		return
	}
	base, err := target.ParseURL(a.target.URL)
	if err != nil || !strings.EqualFold(base.Host, a.in.Host) || !a.m.warned.CompareAndSwap(false, true) {
		return
	}
	slices.Sort(kept)
	a.m.notify(Event{Kind: EventCredentials, ID: a.j.id, Route: a.route, Text: fmt.Sprintf(
		"copies go to the host that the requests were for, with their credentials (%s): is target %q the primary? Its Masker should begin with DropCredentials",
		strings.Join(kept, ", "), a.target.Name)})
}

// note says of an answer that refuses the copy for want of credentials which it was not
// given.
func (a *attempt) note(answer *Message, primary int) string {
	status := answer.StatusCode
	if len(a.lost) == 0 || status == primary || status != http.StatusUnauthorized && status != http.StatusForbidden {
		return ""
	}
	slices.Sort(a.lost)
	return fmt.Sprintf("credentials were not forwarded: %s; give the copy its own with SetHeader", strings.Join(a.lost, ", "))
}

// advise logs what New can see of targets on the network that are sent more than they
// should be, and of reports: alone is that a Target.Masker hides values and nothing else does.
func (m *Mirror) advise(alone bool) {
	if alone && len(m.listeners) > 0 {
		m.log().Warn(fmt.Sprintf("shadow: what the Masker of target %q hides from it is reported in full: give these rules to WithMasker, which is for all that leaves, or to WithRecordMasker", m.target.Name))
	}
	for _, t := range []*Target{&m.target, m.control} {
		if t == nil || t.URL == "" {
			continue
		}
		switch masks, ok := t.Masker.(*maskAll); {
		case !ok:
			m.log().Warn(fmt.Sprintf("shadow: target %q is on the network and has no Masker: it is sent everything as it came, credentials included", t.Name))
		case m.copiesBodies() && !masks.looks():
			m.log().Warn(fmt.Sprintf("shadow: target %q is sent bodies as they came: no rule of its Masker is about bodies. Name what is sensitive with MaskJSON and its like, or say AllowBodies(\"*/*\")", t.Name))
		}
	}
}

// copiesBodies tells whether requests are copied that have a body as a rule.
func (m *Mirror) copiesBodies() bool {
	return m.copies(http.MethodPost) || m.copies(http.MethodPut) || m.copies(http.MethodPatch)
}
