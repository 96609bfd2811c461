package shadow

import (
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Each option that sets one value, twice with different values, and what config makes of it.
var overrides = map[string]struct {
	first, last Option
	get         func(*config) any
	want        any
}{
	"WithName":        {WithName("a"), WithName("b"), func(c *config) any { return c.name }, "b"},
	"WithControl":     {WithControl(InProcess("a", nowhere)), WithControl(InProcess("b", nowhere)), func(c *config) any { return c.control.Name }, "b"},
	"WithControlRate": {WithControlRate(0.5), WithControlRate(0.25), func(c *config) any { return c.controlShare.Probability() }, 0.25},
	"WithMethods":     {WithMethods("GET", "HEAD"), WithMethods("HEAD"), func(c *config) any { return c.methods }, []string{"HEAD"}},
	"WithSampler":     {WithSampler(Rate(0.5)), WithSampler(Rate(0.25)), func(c *config) any { return c.sampler }, Rate(0.25)},
	"WithComparator":  {WithCompare(CompareOptions{}), WithComparator(equal{1}), func(c *config) any { return c.comparator }, equal{1}},
	"WithCompare": {WithComparator(equal{1}), WithCompare(CompareOptions{}),
		func(c *config) any { _, own := c.comparator.(*RuleComparator); return own }, true},
	"WithRoute": {WithRoute(func(*http.Request) string { return "a" }), WithRoute(func(*http.Request) string { return "b" }),
		func(c *config) any { return c.route(nil) }, "b"},
	"WithConcurrency":    {WithConcurrency(1), WithConcurrency(2), func(c *config) any { return c.concurrency }, 2},
	"WithQueue":          {WithQueue(1, 2), WithQueue(3, 4<<20), func(c *config) any { return [2]int64{int64(c.queue), c.queueBytes} }, [2]int64{3, 4 << 20}},
	"WithMaxBody":        {WithMaxBody(1), WithMaxBody(2), func(c *config) any { return c.maxBody }, int64(2)},
	"WithRequestID":      {WithRequestID("A"), WithRequestID(""), func(c *config) any { return c.requestID }, ""},
	"WithLogger":         {WithLogger(slog.Default()), WithLogger(discards), func(c *config) any { return c.logger }, discards},
	"WithTracerProvider": {WithTracerProvider(tracenoop.NewTracerProvider()), WithTracerProvider(otherTracer), func(c *config) any { return c.tracer == otherTracer }, true},
	"WithMeterProvider":  {WithMeterProvider(metricnoop.NewMeterProvider()), WithMeterProvider(otherMeter), func(c *config) any { return c.meter == otherMeter }, true},
	"WithPropagator":     {WithPropagator(propagation.TraceContext{}), WithPropagator(propagation.Baggage{}), func(c *config) any { return c.propagator }, propagation.Baggage{}},
	"WithTiming":         {WithTiming(Parallel), WithTiming(AfterPrimary), func(c *config) any { return c.timing }, AfterPrimary},
	"WithBreaker":        {WithBreaker(BreakerOptions{Min: 1}), WithBreaker(BreakerOptions{Min: 2}), func(c *config) any { return c.breaker.Min }, 2},
	"WithLoadShedding":   {WithLoadShedding(LoadSheddingOptions{Off: true}), WithLoadShedding(LoadSheddingOptions{}), func(c *config) any { return c.shedding.Off }, false},
	"WithOverhead":       {WithOverhead(OverheadOptions{Off: true}), WithOverhead(OverheadOptions{}), func(c *config) any { return c.overhead.Off }, false},
	"WithBudget":         {WithBudget(Budget{Window: time.Hour, Requests: 1}), WithBudget(Budget{Window: time.Hour, Requests: 2}), func(c *config) any { return c.budget.Requests }, 2},
	"WithLeakCheck": {WithLeakCheck(LeakCheckOptions{Rate: 1}), WithLeakCheck(LeakCheckOptions{Rate: 0.5, Scope: LeakCheckRecords}),
		func(c *config) any { return c.leakCheck.Rate }, 0.5},
}

// adds are the options that add to what is there.
var adds = map[string]bool{"WithMasker": true, "WithRecordMasker": true, "WithReporter": true, "WithContextKeys": true}

var (
	nowhere     = http.NotFoundHandler()
	discards    = slog.New(slog.DiscardHandler)
	otherTracer = struct{ tracenoop.TracerProvider }{}
	otherMeter  = struct{ metricnoop.MeterProvider }{}
)

type equal struct{ id int }

func (equal) Compare(*Exchange) Comparison { return Comparison{} }

// A preset can be overridden, whatever it sets: the last option wins.
func TestTheLastOptionWins(t *testing.T) {
	for name, o := range overrides {
		t.Run(name, func(t *testing.T) {
			opts := []Option{Options(o.first, o.first), Options(Options(o.last))}
			if name == "WithControlRate" {
				opts = append(opts, WithControl(InProcess("control", nowhere)))
			}
			c, err := newConfig(InProcess("v2", nowhere), opts)
			require.NoError(t, err)
			assert.Equal(t, o.want, o.get(c))
		})
	}
}

func TestEveryOptionIsKnownToOverrideOrToAdd(t *testing.T) {
	for name := range optionNames(t) {
		if _, ok := overrides[name]; ok == adds[name] {
			t.Errorf("%s: say in overrides or in adds what it does when it is there twice", name)
		}
	}
}

// optionNames are the exported functions of this package that return an Option.
func optionNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		for _, decl := range tree.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "With") || f.Type.Results.NumFields() != 1 {
				continue
			}
			if result, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Option" {
				names[f.Name.Name] = true
			}
		}
	}
	require.Greater(t, len(names), 20)
	return names
}
