package methods_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/methods"
)

func TestARequestThatAsksForAnotherMethodIsWhatItAsksFor(t *testing.T) {
	for _, c := range []struct {
		method, url string
		header      http.Header
		reads       bool
		want        []string
	}{
		{method: "GET", url: "/", reads: true},
		{method: "", url: "/", reads: true},
		{method: "HEAD", url: "/?method=DELETE&a_method=DELETE&_methods=DELETE", reads: true},
		{method: "POST", url: "/"},
		{method: "QUERY", url: "/"},
		{method: "get", url: "/"},
		{method: "GET", url: "/", header: http.Header{"X-Http-Method-Override": {"DELETE"}}, want: []string{"DELETE"}},
		{method: "GET", url: "/", header: http.Header{"X-Http-Method": {" delete "}}, want: []string{"DELETE"}},
		{method: "GET", url: "/", header: http.Header{"X-Method-Override": {"GET", "PATCH"}}, want: []string{"GET", "PATCH"}},
		{method: "GET", url: "/", header: http.Header{"X-Method-Override": {"head"}}, want: []string{"HEAD"}, reads: true},
		{method: "GET", url: "/", header: http.Header{"X-Method-Override": {""}}, reads: true},
		{method: "GET", url: "/?a=1&_method=delete", want: []string{"DELETE"}},
		{method: "GET", url: "/?a=1;%5Fmethod=%64elete", want: []string{"DELETE"}},
		{method: "GET", url: "/?_method=%zz", want: []string{"?"}},
		{method: "GET", url: "/?_method=GET&_method=PUT", want: []string{"GET", "PUT"}},
		{method: "POST", url: "/?_method=GET", want: []string{"GET"}},
	} {
		r := httptest.NewRequest("GET", c.url, nil)
		r.Method = c.method
		if c.header != nil {
			r.Header = c.header
		}
		assert.Equal(t, c.want, methods.Overrides(r), "%+v", c)
		assert.Equal(t, c.reads, methods.OnlyReads(r), "%+v", c)
	}
	assert.True(t, methods.OnlyReads(&http.Request{Method: "GET"}), "without a URL")
}

func TestARequestThatAsksForNothingElseCostsNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/orders?page=2", nil)
	assert.Zero(t, testing.AllocsPerRun(100, func() { methods.OnlyReads(r) }))
}
