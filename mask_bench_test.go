package shadow_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/goshadow/shadow"
)

// BenchmarkMaskOfHeaders masks the header of an ordinary request, which has no body.
func BenchmarkMaskOfHeaders(b *testing.B) {
	for _, c := range []struct {
		name   string
		masker shadow.Masker
	}{
		{"DropCredentials", shadow.DropCredentials()},
		{"MaskHeaders", shadow.MaskHeaders("Authorization", "X-Forwarded-For")},
		{"MaskAll", shadow.MaskAll(shadow.DropCredentials(), shadow.MaskHeaders("X-Forwarded-For"), shadow.MaskQuery("token"), shadow.MaskJSON("$..card"))},
	} {
		b.Run(c.name, func(b *testing.B) {
			authorization, cookie := []string{"Bearer x"}, []string{"session=x"}
			m := &shadow.Message{
				Method: "GET", URL: &url.URL{Scheme: "https", Host: "example.com", Path: "/items/1", RawQuery: "q=1"},
				Header: http.Header{
					"Accept":          {"application/json"},
					"Accept-Encoding": {"gzip, deflate, br"},
					"Accept-Language": {"en-GB,en;q=0.9"},
					"Cache-Control":   {"no-cache"},
					"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
					"X-Forwarded-For": {"192.0.2.1"},
					"X-Request-Id":    {"4bf92f3577b34da6a3ce929d0e0e4736"},
					"Traceparent":     {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
				},
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Header["Authorization"], m.Header["Cookie"] = authorization, cookie
				if err := c.masker.Mask(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
