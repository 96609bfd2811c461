package sdktest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/telemetry"
)

// instrumented is h as users instrument it, with the rig's tracer.
func (r *rig) instrumented(h http.Handler, operation string) http.Handler {
	return otelhttp.NewHandler(h, operation, otelhttp.WithTracerProvider(r.tracer),
		otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(operation string, _ *http.Request) string { return operation }))
}

// client is a caller with a trace of its own.
func (r *rig) client() *http.Client {
	transport := otelhttp.NewTransport(http.DefaultTransport, otelhttp.WithTracerProvider(r.tracer),
		otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return "caller" }))
	return &http.Client{Transport: transport}
}

func orders() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", says(`{"total":1}`))
	return mux
}

func TestTheShadowsSpanIsANewRootLinkedToThePrimarys(t *testing.T) {
	candidate := &keep{h: orders()}
	r := newRig(t, remote(t, "v2", candidate), shadow.WithName("orders"))
	service := serve(t, r.instrumented(r.mirror.Handler(orders()), "primary"))

	status, _ := ask(t, r.client(), "GET", service.URL+"/orders/7", "", http.Header{"X-Request-Id": {"id-7"}})
	require.Equal(t, http.StatusOK, status)
	r.drain(t)

	primary, span := r.span(t, "primary"), r.span(t, "shadow v2")
	assert.Equal(t, "github.com/goshadow/shadow", span.InstrumentationScope().Name)
	assert.Equal(t, trace.SpanKindClient, span.SpanKind())
	assert.False(t, span.Parent().IsValid(), "it has a parent")
	assert.NotEqual(t, primary.SpanContext().TraceID(), span.SpanContext().TraceID())
	require.Len(t, span.Links(), 1)
	assert.True(t, primary.SpanContext().Equal(span.Links()[0].SpanContext), "it links to another span")
	assert.Equal(t, codes.Unset, span.Status().Code)
	assert.ElementsMatch(t, []attribute.KeyValue{
		attribute.String("shadow.mirror", "orders"),
		attribute.String("shadow.target", "v2"),
		attribute.String("shadow.role", "shadow"),
		attribute.String("shadow.id", "id-7"),
		attribute.String("http.route", "GET /orders/{id}"),
		attribute.String("http.request.method", "GET"),
		attribute.Int("http.response.status_code", 200),
	}, span.Attributes())

	assert.Equal(t, []string{"primary", "caller"}, r.trace(primary.SpanContext().TraceID()),
		"the primary's trace is what it is without a mirror")
	assert.Equal(t, []string{"shadow v2"}, r.trace(span.SpanContext().TraceID()))
	assert.Equal(t, traceparent(span.SpanContext()), candidate.only(t).Get("Traceparent"))
}

// A copy that begins beside its primary has no route yet; where the primary has answered
// by its end, it has.
func TestTheSpanOfACopyBesideItsPrimaryKnowsTheRouteInTheEnd(t *testing.T) {
	for _, late := range []bool{false, true} {
		answered := make(chan struct{})
		candidate := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if !late {
				<-answered
			}
		})
		primary := http.NewServeMux()
		began := make(chan struct{})
		primary.HandleFunc("GET /orders/{id}", func(http.ResponseWriter, *http.Request) {
			if late {
				<-began
			}
		})
		r := newRig(t, shadow.InProcess("v2", candidate), shadow.WithTiming(shadow.Parallel))
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.mirror.Handler(primary).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/7", nil))
		}()
		if late {
			require.Eventually(t, func() bool { return len(r.spans.Ended()) == 1 }, time.Minute, time.Millisecond)
			close(began)
		}
		<-done
		close(answered)
		r.drain(t)
		route := attribute.String("http.route", "GET /orders/{id}")
		if attributes := r.span(t, "shadow v2").Attributes(); late {
			assert.NotContains(t, attributes, route)
		} else {
			assert.Contains(t, attributes, route)
		}
	}
}

// traceparent is the header of sc (W3C Trace Context section 3.2).
func traceparent(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}

func TestACallOfATransportIsLinkedToo(t *testing.T) {
	candidate := &keep{h: says("yes")}
	r := newRig(t, remote(t, "v2", candidate))
	vendor := serve(t, says("yes"))

	ctx, caller := r.tracer.Tracer("test").Start(t.Context(), "caller")
	req, err := http.NewRequestWithContext(ctx, "GET", vendor.URL, nil)
	require.NoError(t, err)
	resp, err := r.mirror.Transport(nil).RoundTrip(req)
	require.NoError(t, err)
	_, err = resp.Body.Read(make([]byte, 9))
	for err == nil {
		_, err = resp.Body.Read(make([]byte, 9))
	}
	require.NoError(t, resp.Body.Close())
	caller.End()
	r.drain(t)

	span := r.span(t, "shadow v2")
	require.Len(t, span.Links(), 1)
	assert.True(t, caller.SpanContext().Equal(span.Links()[0].SpanContext))
	assert.NotEqual(t, caller.SpanContext().TraceID(), span.SpanContext().TraceID())
	assert.Equal(t, traceparent(span.SpanContext()), candidate.only(t).Get("Traceparent"))
}

func TestASpanIsANewRootWhateverItsContext(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	tel, err := telemetry.New(telemetry.Config{Tracer: tracer})
	require.NoError(t, err)
	ctx, outer := tracer.Tracer("test").Start(t.Context(), "outer")
	defer outer.End()
	ctx, span := tel.Start(ctx, &telemetry.Copy{Target: "v2"}, http.Header{})
	telemetry.End(span, "", 200, "")

	assert.Equal(t, span, trace.SpanFromContext(ctx))
	require.Len(t, spans.Ended(), 1)
	assert.False(t, spans.Ended()[0].Parent().IsValid())
	assert.NotEqual(t, outer.SpanContext().TraceID(), span.SpanContext().TraceID())
}

func TestWithoutASpanOfThePrimaryThereIsNoLink(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", says("yes")))
	r.mirror.Handler(says("yes")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	r.drain(t)
	assert.Empty(t, r.span(t, "shadow v2").Links())
}

// inbound are headers of a request that is part of a trace, in the forms of many systems.
var inbound = http.Header{
	"Traceparent":                 {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	"Tracestate":                  {"vendor=primary"},
	"Grpc-Trace-Bin":              {"AAAK92UZFs1D3YRI6yEcgDGcAbetq3FpIDMxAgE"},
	"X-Cloud-Trace-Context":       {"0af7651916cd43dd8448eb211c80319c/1;o=1"},
	"B3":                          {"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"},
	"X-B3-Traceid":                {"0af7651916cd43dd8448eb211c80319c"},
	"X-B3-Spanid":                 {"b7ad6b7169203331"},
	"X-B3-Parentspanid":           {"b7ad6b7169203332"},
	"X-B3-Sampled":                {"1"},
	"X-B3-Flags":                  {"1"},
	"Uber-Trace-Id":               {"0af7651916cd43dd:b7ad6b7169203331:0:1"},
	"X-Amzn-Trace-Id":             {"Root=1-0af76519-16cd43dd8448eb211c80319c;Sampled=1"},
	"Ot-Tracer-Traceid":           {"8448eb211c80319c"},
	"Ot-Tracer-Spanid":            {"b7ad6b7169203331"},
	"Ot-Tracer-Sampled":           {"true"},
	"X-Ot-Span-Context":           {"8448eb211c80319c;b7ad6b7169203331;0"},
	"X-Datadog-Trace-Id":          {"9532127138774266268"},
	"X-Datadog-Parent-Id":         {"13235353014750950193"},
	"X-Datadog-Sampling-Priority": {"1"},
	"X-Datadog-Origin":            {"rum"},
	"X-Datadog-Tags":              {"_dd.p.tid=0af7651916cd43dd"},
	"Elastic-Apm-Traceparent":     {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	"Newrelic":                    {"eyJ2IjpbMCwxXX0"},
	"Sentry-Trace":                {"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"},
	"Sw8":                         {"1-MGFm-YjdhZA==-0-djE=-aW4=-L29yZGVycw==-djE="},
	"X-Instana-T":                 {"8448eb211c80319c"},
	"X-Instana-S":                 {"b7ad6b7169203331"},
	"X-Instana-L":                 {"1"},
}

func TestTheCopyCarriesTheShadowsSpanInTheUsersFormat(t *testing.T) {
	for name, c := range map[string]struct {
		propagator propagation.TextMapPropagator // nil: the default
		want       func(sc trace.SpanContext) http.Header
	}{
		"default": {nil, func(sc trace.SpanContext) http.Header {
			return http.Header{"Traceparent": {traceparent(sc)}}
		}},
		"B3 in one header": {b3.New(b3.WithInjectEncoding(b3.B3SingleHeader)), func(sc trace.SpanContext) http.Header {
			return http.Header{"B3": {sc.TraceID().String() + "-" + sc.SpanID().String() + "-1"}}
		}},
		"B3 in many headers": {b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)), func(sc trace.SpanContext) http.Header {
			return http.Header{"X-B3-Traceid": {sc.TraceID().String()}, "X-B3-Spanid": {sc.SpanID().String()},
				"X-B3-Sampled": {"1"}}
		}},
		"W3C and B3": {propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, b3.New()),
			func(sc trace.SpanContext) http.Header {
				return http.Header{"Traceparent": {traceparent(sc)},
					"B3": {sc.TraceID().String() + "-" + sc.SpanID().String() + "-1"}}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []shadow.Option
			if c.propagator != nil {
				opts = append(opts, shadow.WithPropagator(c.propagator))
			}
			candidate, primary := &keep{h: orders()}, &keep{h: orders()}
			r := newRig(t, remote(t, "v2", candidate), opts...)
			service := serve(t, r.mirror.Handler(primary))
			ask(t, http.DefaultClient, "GET", service.URL+"/orders/7", "", inbound)
			r.drain(t)

			got, want := http.Header{}, c.want(r.span(t, "shadow v2").SpanContext())
			for key := range inbound {
				if v, ok := candidate.only(t)[key]; ok {
					got[key] = v
				}
				assert.Equal(t, inbound[key], primary.only(t)[key], "what the primary gets is not touched")
			}
			assert.Equal(t, want, got)
		})
	}
}

// custom carries a span in a header that nobody else knows.
type custom struct{ propagation.TraceContext }

func (custom) Fields() []string { return []string{"x-acme-trace", "baggage"} }

func TestWithoutAProviderNothingIsRecordedAndNoTraceIsSent(t *testing.T) {
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
	})

	for name, opts := range map[string][]shadow.Option{
		"no option":             nil,
		"only WithPropagator":   {shadow.WithPropagator(propagation.TraceContext{})},
		"headers of its format": {shadow.WithPropagator(custom{})},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := &keep{h: orders()}
			mirror, err := shadow.New(remote(t, "v2", candidate), opts...)
			require.NoError(t, err)
			header := inbound.Clone()
			header.Set("Accept", "application/json")
			if name == "headers of its format" {
				header.Set("X-Acme-Trace", "1")
				header.Set("Baggage", "tenant=blue")
			}
			ask(t, http.DefaultClient, "GET", serve(t, mirror.Handler(orders())).URL+"/orders/7", "", header)
			require.NoError(t, mirror.Shutdown(t.Context()))

			got := candidate.only(t)
			assert.Equal(t, "application/json", got.Get("Accept"))
			assert.Empty(t, got.Get("X-Acme-Trace"))
			for key := range inbound {
				assert.NotContains(t, got, key)
			}
			if name == "headers of its format" {
				assert.ElementsMatch(t, []string{"tenant=blue", "shadow=true"}, members(t, got))
			}
		})
	}
	assert.Empty(t, spans.Started(), "spans of the global provider")
	all, err := read(t.Context(), reader)
	require.NoError(t, err)
	assert.Empty(t, all, "metrics of the global provider")
}

// members are those of the baggage in h.
func members(t *testing.T, h http.Header) (list []string) {
	t.Helper()
	require.Len(t, h["Baggage"], 1)
	bag, err := baggage.Parse(h.Get("Baggage"))
	require.NoError(t, err)
	for _, m := range bag.Members() {
		list = append(list, m.Key()+"="+m.Value())
	}
	return list
}

func TestBaggageSurvivesAndSaysShadow(t *testing.T) {
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	for name, c := range map[string]struct {
		propagator propagation.TextMapPropagator
		inbound    []string
		want       []string
	}{
		"none inbound":                        {propagation.TraceContext{}, nil, []string{"shadow=true"}},
		"none inbound, baggage propagator":    {both, nil, []string{"shadow=true"}},
		"some inbound":                        {propagation.TraceContext{}, []string{"tenant=blue,tier=1"}, []string{"tenant=blue", "tier=1", "shadow=true"}},
		"some inbound, baggage propagator":    {both, []string{"tenant=blue,tier=1"}, []string{"tenant=blue", "tier=1", "shadow=true"}},
		"two lines, baggage propagator":       {both, []string{"tenant=blue", "tier=1"}, []string{"tenant=blue", "tier=1", "shadow=true"}},
		"a false mark, baggage propagator":    {both, []string{"shadow=false,tier=1"}, []string{"tier=1", "shadow=true"}},
		"invalid inbound, baggage propagator": {both, []string{"=;=,,"}, []string{"shadow=true"}},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := &keep{h: says("yes")}
			r := newRig(t, remote(t, "v2", candidate), shadow.WithPropagator(c.propagator))
			header := http.Header{}
			if c.inbound != nil {
				header["Baggage"] = c.inbound
			}
			ask(t, http.DefaultClient, "GET", serve(t, r.mirror.Handler(says("yes"))).URL, "", header)
			r.drain(t)
			assert.ElementsMatch(t, c.want, members(t, candidate.only(t)))
		})
	}
}

func TestBaggageReachesTheSecondHop(t *testing.T) {
	database := &keep{h: says("row")}
	second := serve(t, database)
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	client := &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport, otelhttp.WithPropagators(both))}
	candidate := otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), "GET", second.URL, nil)
		if !assert.NoError(t, err) {
			return
		}
		resp, err := client.Do(req)
		if assert.NoError(t, err) {
			resp.Body.Close()
		}
	}), "candidate", otelhttp.WithPropagators(both))
	for name, target := range map[string]shadow.Target{
		"in process": shadow.InProcess("v2", candidate), "remote": remote(t, "v2", candidate),
	} {
		t.Run(name, func(t *testing.T) {
			database.headers = nil
			r := newRig(t, target)
			ask(t, http.DefaultClient, "GET", serve(t, r.mirror.Handler(says(""))).URL, "", http.Header{"Baggage": {"tenant=blue"}})
			r.drain(t)
			assert.ElementsMatch(t, []string{"tenant=blue", "shadow=true"}, members(t, database.only(t)))
			assert.Contains(t, database.only(t).Get("Traceparent"), r.span(t, "shadow v2").SpanContext().TraceID().String())
		})
	}
}

func TestAnInstrumentedCandidateLandsInTheShadowsTrace(t *testing.T) {
	var candidate http.Handler // made of the rig's tracer
	r := newRig(t, shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		candidate.ServeHTTP(w, req)
	})))
	candidate = r.instrumented(says("yes"), "candidate")
	service := serve(t, r.instrumented(r.mirror.Handler(says("yes")), "primary"))
	ask(t, r.client(), "GET", service.URL, "", nil)
	r.drain(t)

	span, inside := r.span(t, "shadow v2"), r.span(t, "candidate")
	assert.Equal(t, span.SpanContext().TraceID(), inside.SpanContext().TraceID())
	assert.Equal(t, span.SpanContext().SpanID(), inside.Parent().SpanID())
	assert.Equal(t, []string{"primary", "caller"}, r.trace(r.span(t, "primary").SpanContext().TraceID()))
}

func TestTheControlHasASpanOfItsOwn(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", says("yes")), shadow.WithControl(shadow.InProcess("v1", says("yes"))))
	service := serve(t, r.instrumented(r.mirror.Handler(says("yes")), "primary"))
	ask(t, http.DefaultClient, "GET", service.URL, "", nil)
	r.drain(t)

	primary := r.span(t, "primary").SpanContext()
	for _, name := range []string{"v1", "v2"} {
		span := r.span(t, "shadow "+name)
		assert.Contains(t, span.Attributes(), attribute.String("shadow.target", name))
		assert.False(t, span.Parent().IsValid())
		assert.True(t, primary.Equal(span.Links()[0].SpanContext))
	}
}

// transportFunc is a RoundTripper.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestASpanSaysHowTheCopyFailed(t *testing.T) {
	const secret = "sesame"
	for name, c := range map[string]struct {
		target shadow.Target
		typ    string // error.type
		status int    // http.response.status_code
		text   string // of the span's status
	}{
		"timeout": {shadow.Target{Name: "v2", Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}, "timeout", 0, "timeout"},
		"late answer": {shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(time.Minute) // whatever its context says
		})), "timeout", 0, "timeout"},
		"panic of the handler": {shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(secret)
		})), "panic", 0, "panic"},
		"exit of the handler": {shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			runtime.Goexit()
		})), "panic", 0, "panic"},
		"panic of the transport": {shadow.Target{Name: "v2", Transport: transportFunc(func(*http.Request) (*http.Response, error) {
			panic(secret)
		})}, "panic", 0, "panic"},
		"error of the transport": {shadow.Target{Name: "v2", Transport: transportFunc(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("dial " + secret)
		})}, "transport", 0, "transport"},
		"server error": {shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, secret, http.StatusInternalServerError)
		})), "500", 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.target)
				r.mirror.Handler(says("yes")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				time.Sleep(time.Hour) // of the bubble: until a late handler is done
				r.drain(t)

				span := r.span(t, "shadow v2")
				assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: c.text}, span.Status())
				assert.Contains(t, span.Attributes(), attribute.String("error.type", c.typ))
				status, ok := value(span.Attributes(), "http.response.status_code")
				assert.Equal(t, c.status != 0, ok)
				if ok {
					assert.EqualValues(t, c.status, status.AsInt64())
				}
				assert.Empty(t, span.Events(), "an event might tell what an error says")
			})
		})
	}
}

func value(attrs []attribute.KeyValue, key attribute.Key) (attribute.Value, bool) {
	set := attribute.NewSet(attrs...)
	return set.Value(key)
}

func TestWhatIsNotSentHasNoSpan(t *testing.T) {
	target := shadow.InProcess("v2", says("yes"))
	target.Masker = shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })
	r := newRig(t, target, shadow.WithSampler(shadow.SamplerFunc(func(r *http.Request) bool {
		return r.URL.Path != "/unsampled"
	})))
	h := r.mirror.Handler(says("yes"))
	for _, path := range []string{"/masked", "/unsampled"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	r.drain(t)
	assert.Empty(t, r.spans.Started())
	assert.Equal(t, map[shadow.Reason]uint64{shadow.ReasonMaskFailed: 1}, r.stats.Dropped)
}

func TestEverySpanThatStartsEnds(t *testing.T) {
	candidate := serve(t, says("yes"))
	r := newRig(t, shadow.Remote("v2", candidate.URL), shadow.WithConcurrency(2))
	service := serve(t, r.mirror.Handler(says("yes")))
	for i := range 20 {
		if i == 10 {
			candidate.CloseClientConnections()
		}
		ask(t, http.DefaultClient, "GET", service.URL, "", nil)
	}
	r.drain(t)
	assert.Len(t, r.spans.Ended(), 20)
	assert.Equal(t, len(r.spans.Started()), len(r.spans.Ended()))
}
