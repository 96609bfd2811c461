package shadow_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/policy"
	"github.com/goshadow/shadow/preflight"
	"github.com/goshadow/shadow/sampling"
)

// faults are arguments that each function refuses. The error comes from New, or from the function
// itself if it returns one.
func faults(t *testing.T) map[string][]error {
	of := func(opts ...shadow.Option) error {
		m, err := shadow.New(isolated(candidate()), opts...)
		if m != nil {
			m.Close()
		}
		return err
	}
	to := func(target shadow.Target) error {
		_, err := shadow.New(target)
		return err
	}
	sampler := func(s shadow.Sampler) error { return of(shadow.WithSampler(s)) }
	masker := func(m shadow.Masker) error { return of(shadow.WithMasker(m)) }
	with := func(r shadow.Replacement) error { return masker(shadow.MaskWith(r, shadow.MaskQuery("q"))) }
	reporter := func(r shadow.Reporter) error { return of(shadow.WithReporter(r)) }
	second := func(_ any, err error) error { return err }
	bad := shadow.Rate(5)
	compare := shadow.CompareOptions{Ignore: []string{"$.["}}
	m, _ := mirror(t, candidate())
	return map[string][]error{
		"New":              {to(shadow.Target{}), to(shadow.Target{Name: "v2"}), to(shadow.Target{Name: "v2", Transport: &http.Transport{}}), to(shadow.Target{Name: "v2", URL: "orders"})},
		"InProcess":        {to(shadow.InProcess("v2", nil)), to(shadow.InProcess("", ok))},
		"HandlerTransport": {to(shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(nil)})},
		"Remote":           {to(shadow.Remote("v2", "ftp://x")), to(shadow.Remote("v2", "")), to(shadow.Remote("", "http://x"))},

		"Rate":       {sampler(bad), sampler(shadow.Rate(math.NaN())), sampler(shadow.Rate(-1))},
		"PerSecond":  {sampler(shadow.PerSecond(-1, 1)), sampler(shadow.PerSecond(1, -1)), sampler(shadow.PerSecond(math.NaN(), 1))},
		"ByKey":      {sampler(shadow.ByKey(0.5, nil)), sampler(shadow.ByKey(2, byHeader))},
		"ByRoute":    {sampler(shadow.ByRoute(map[string]shadow.Sampler{"GET": shadow.Rate(1)}, nil)), sampler(shadow.ByRoute(map[string]shadow.Sampler{"/": bad}, nil)), sampler(shadow.ByRoute(nil, bad))},
		"When":       {sampler(shadow.When(nil))},
		"All":        {sampler(shadow.All(nil)), sampler(shadow.All(bad))},
		"Any":        {sampler(shadow.Any(nil)), sampler(shadow.Any(bad))},
		"RateVar":    {new(shadow.RateVar).Set(5)},
		"RouteRates": {new(shadow.RouteRates).Set("/", 5), new(shadow.RouteRates).Set("GET", 1)},

		"sampling.NewAdaptive": {second(sampling.NewAdaptive(sampling.AdaptiveOptions{Share: 2, PerSecond: 1})), second(sampling.NewAdaptive(sampling.AdaptiveOptions{Share: 0.1, PerSecond: -1}))},
		"sampling.NewWindowed": {second(sampling.NewWindowed(nil, time.Hour, time.Second)), second(sampling.NewWindowed(bad, time.Hour, time.Second)), second(sampling.NewWindowed(shadow.Rate(0), 0, time.Second)), second(sampling.NewWindowed(shadow.Rate(0), time.Second, time.Hour))},
		"sampling.NewForce":    {second(sampling.NewForce()), second(sampling.NewForce([]byte("short")))},

		"AllowBodies":  {masker(shadow.AllowBodies("json"))},
		"MaskAll":      {masker(shadow.MaskAll(nil)), masker(shadow.MaskAll(shadow.MaskJSON("$.[")))},
		"MaskCookies":  {masker(shadow.MaskCookies(""))},
		"MaskDetected": {masker(shadow.MaskDetected("ssn"))},
		"MaskForm":     {masker(shadow.MaskForm(""))},
		"MaskHeaders":  {masker(shadow.MaskHeaders("a b"))},
		"MaskJSON":     {masker(shadow.MaskJSON("$.["))},
		"MaskPath":     {masker(shadow.MaskPath("/users/{")), masker(shadow.MaskPath("users/{id}"))},
		"MaskPatterns": {masker(shadow.MaskPatterns(nil)), masker(shadow.MaskPatterns((*regexp.Regexp)(nil)))},
		"MaskQuery":    {masker(shadow.MaskQuery(""))},
		"MaskWith":     {with(nil), masker(shadow.MaskWith(shadow.Drop(), nil)), masker(shadow.MaskWith(shadow.Drop(), shadow.DropCredentials()))},
		"MaskXML":      {masker(shadow.MaskXML("//"))},
		"SetHeader":    {masker(shadow.SetHeader("a b", "x")), masker(shadow.SetHeader("A", "x\ny"))},
		"Tokenize":     {with(shadow.Tokenize(nil)), with(shadow.Tokenize([]byte("short")))},
		"policy.Parse": {second(policy.Parse(nil, nil)), second(policy.Parse([]byte(`{"version": 1, "rules": [{}]}`), nil))},

		"NewComparator":   {second(shadow.NewComparator(compare)), second(shadow.NewComparator(shadow.CompareOptions{MaxDiffs: -1})), second(shadow.NewComparator(shadow.CompareOptions{Headers: []string{"*"}}))},
		"preflight.Check": {second(preflight.Check(t.Context(), m, preflight.Options{Method: "POST"})), second(preflight.Check(t.Context(), m, preflight.Options{Path: "x"}))},

		"MultiReporter":      {reporter(shadow.MultiReporter(nil)), reporter(shadow.MultiReporter(shadow.MultiReporter(nil)))},
		"Options":            {of(shadow.Options(shadow.WithMaxBody(-1))), of(shadow.Options(nil))},
		"WithBreaker":        {of(shadow.WithBreaker(shadow.BreakerOptions{Failures: 2})), of(shadow.WithBreaker(shadow.BreakerOptions{Min: -1}))},
		"WithBudget":         {of(shadow.WithBudget(shadow.Budget{Requests: -1})), of(shadow.WithBudget(shadow.Budget{Requests: 1, Window: -1}))},
		"WithComparator":     {of(shadow.WithComparator(nil)), of(shadow.WithComparator(shadow.ComparatorFunc(nil)))},
		"WithCompare":        {of(shadow.WithCompare(compare))},
		"WithConcurrency":    {of(shadow.WithConcurrency(-1)), of(shadow.WithConcurrency(0))},
		"WithContextKeys":    {of(shadow.WithContextKeys(nil)), of(shadow.WithContextKeys([]int{1}))},
		"WithControl":        {of(shadow.WithControl(shadow.Target{})), of(shadow.WithControl(shadow.InProcess("v1", nil)))},
		"WithControlRate":    {of(shadow.WithControlRate(2), shadow.WithControl(shadow.InProcess("v1", ok))), of(shadow.WithControlRate(math.NaN()), shadow.WithControl(shadow.InProcess("v1", ok)))},
		"WithLeakCheck":      {of(shadow.WithLeakCheck(shadow.LeakCheckOptions{})), of(shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Scope: "x"}))},
		"WithLoadShedding":   {of(shadow.WithLoadShedding(shadow.LoadSheddingOptions{Heap: -1})), of(shadow.WithLoadShedding(shadow.LoadSheddingOptions{Wait: -1}))},
		"WithLogger":         {of(shadow.WithLogger(nil))},
		"WithMasker":         {masker(nil), masker(shadow.MaskerFunc(nil))},
		"WithMaxBody":        {of(shadow.WithMaxBody(-1))},
		"WithMeterProvider":  {of(shadow.WithMeterProvider(nil))},
		"WithMethods":        {of(shadow.WithMethods()), of(shadow.WithMethods("post")), of(shadow.WithMethods("A B")), second(shadow.New(candidate(), shadow.WithMethods("POST")))},
		"WithName":           {of(shadow.WithName(""))},
		"WithOverhead":       {of(shadow.WithOverhead(shadow.OverheadOptions{P99: -1}))},
		"WithPropagator":     {of(shadow.WithPropagator(nil))},
		"WithQueue":          {of(shadow.WithQueue(-1, 1)), of(shadow.WithQueue(1, -1))},
		"WithRecordMasker":   {of(shadow.WithRecordMasker(nil)), of(shadow.WithRecordMasker(shadow.MaskJSON("$.[")))},
		"WithReporter":       {reporter(nil), reporter(shadow.ReporterFunc(nil))},
		"WithRequestID":      {of(shadow.WithRequestID("a b"))},
		"WithRoute":          {of(shadow.WithRoute(nil))},
		"WithSampler":        {sampler(nil), sampler(shadow.SamplerFunc(nil))},
		"WithTiming":         {of(shadow.WithTiming("never"))},
		"WithTracerProvider": {of(shadow.WithTracerProvider(nil))},
	}
}

// cannotFail are functions that take every argument.
var cannotFail = map[string]string{
	"Drop": "has no argument", "DropCredentials": "has no argument", "Hash": "has no argument", "Redact": "has no argument",
	"IsShadow": "is about a context", "TargetFrom": "is about a context", "LogReporter": "nil is the default logger",
}

// No fault of a constructor or an option is accepted silently.
func TestEveryFaultIsTold(t *testing.T) {
	all := faults(t)
	for name, errs := range all {
		for i, err := range errs {
			assert.Error(t, err, "%s: fault %d is accepted", name, i+1)
		}
	}
	functions := 0
	for name, text := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() {
				continue
			}
			functions++
			_, never := cannotFail[f.Name.Name]
			assert.True(t, never || len(all[f.Name.Name]) > 0, "%s: list its faults", f.Name.Name)
		}
	}
	assert.Greater(t, functions, 50)
}
