package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/goshadow/shadow"
)

func TestNothingThatPrimaryShadowOrClientSaidIsInSpansOrMetrics(t *testing.T) {
	const secret = "sesame"
	telling := func(side string) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/users/{id}/{page}", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("Location", "https://"+secret+side+".example/"+secret)
			h.Set("Set-Cookie", "session="+secret+side)
			h.Set("Trailer", "X-Sum")
			fmt.Fprintf(w, `{"%s":"%s %s","list":["%s"]}`, secret+side, secret, side, secret+side)
			h.Set("X-Sum", secret+side)
		})
		mux.HandleFunc("/panic/{id}", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if side == "v2" {
				panic(errors.New(secret))
			}
		})
		return mux
	}
	refusing := transportFunc(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("%s %s: %s", r.Method, r.URL, secret)
	})
	for name, target := range map[string]shadow.Target{
		"in process": shadow.InProcess("v2", telling("v2")),
		"remote":     remote(t, "v2", telling("v2")),
		"error":      {Name: "v2", Transport: refusing},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, target, shadow.WithMethods("GET", "POST"), shadow.WithReporter(
				shadow.ReporterFunc(func(context.Context, *shadow.Result) error { return errors.New(secret) })))
			service := serve(t, r.instrumented(r.mirror.Handler(telling("v1")), "primary"))
			header := http.Header{
				"Authorization": {"Bearer " + secret}, "Cookie": {"session=" + secret},
				"X-" + secret: {secret}, "User-Agent": {secret}, "Referer": {"https://example.com/" + secret},
				"Content-Type": {"application/json"}, "Baggage": {"user=" + secret},
				"Tracestate": {"vendor=" + secret},
			}
			for _, path := range []string{"/users/" + secret + "/1?token=" + secret, "/panic/" + secret} {
				for method, body := range map[string]string{"GET": "", "POST": `{"password":"` + secret + `"}`} {
					ask(t, http.DefaultClient, method, service.URL+path, body, header)
				}
			}
			r.drain(t)
			require.EqualValues(t, 4, r.stats.Unreported)
			spans := 0
			for _, span := range r.spans.Ended() {
				if !strings.HasPrefix(span.Name(), "shadow ") {
					continue
				}
				spans++
				assert.NotContains(t, fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status(),
					span.SpanContext(), span.Links()[0].Attributes), secret)
			}
			require.Equal(t, 4, spans)
			for _, m := range r.drained {
				for _, p := range points(t, m) {
					assert.NotContains(t, p.attrs.Encoded(attribute.DefaultEncoder()), secret, m.Name)
				}
			}
		})
	}
}

// A path without a route is one in spans and metrics, where MaskPath says what of it is a
// name of somebody.
func TestMaskPathNamesRoutesInSpansAndMetrics(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", says("yes")), shadow.WithMasker(shadow.MaskPath("/people/{name}")))
	r.mirror.Handler(says("yes")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/people/sesame", nil))
	r.drain(t)
	assert.NotContains(t, fmt.Sprint(r.span(t, "shadow v2").Attributes()), "sesame")
	assert.Equal(t, []string{"GET /people/{name}"}, r.routes(t))
}

// One attribute that is not UTF-8 costs an OTLP batch, or each later Prometheus scrape.
func TestAttributesAreUTF8WhateverAClientSends(t *testing.T) {
	registry := prometheus.NewRegistry()
	exporter, err := promexport.New(promexport.WithRegisterer(registry))
	require.NoError(t, err)
	r := newRig(t, shadow.InProcess("v2", says("yes")), shadow.WithName("caf\xe9"))
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	second, err := shadow.New(shadow.InProcess("v\xff", says("no")), shadow.WithMeterProvider(meter),
		shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff {
			return []shadow.Diff{{Path: "/body", Kind: "k\xff", Class: "c\xff"}}
		})))
	require.NoError(t, err)
	defer second.Close()
	h := second.Handler(r.mirror.Handler(says("yes")))

	req := httptest.NewRequest("GET", "/bad%ff", nil)
	req.Header.Set("X-Request-Id", "id\xff")
	h.ServeHTTP(httptest.NewRecorder(), req)
	r.drain(t)
	require.NoError(t, second.Shutdown(t.Context()))
	families, err := registry.Gather()
	require.NoError(t, err)
	assert.NotEmpty(t, families)

	span := r.span(t, "shadow v2")
	for _, kv := range span.Attributes() {
		assert.True(t, utf8.ValidString(kv.Value.String()), kv.Key)
	}
	assert.Contains(t, span.Attributes(), attribute.String("shadow.id", "id\uFFFD"))
	assert.Equal(t, []string{"GET /{}"}, r.routes(t))
}
