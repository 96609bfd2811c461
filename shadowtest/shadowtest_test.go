package shadowtest_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/shadowtest"
)

func comparator(t *testing.T, o shadow.CompareOptions) shadow.Comparator {
	t.Helper()
	c, err := shadow.NewComparator(o)
	require.NoError(t, err)
	return c
}

func TestTheComparatorsOfTheLibraryPass(t *testing.T) {
	for name, o := range map[string]shadow.CompareOptions{
		"the default": {},
		"rules": {Headers: []string{"Set-Cookie", "Vary", "X-Empty"}, Ignore: []string{"$..name"}, Unordered: []string{"$.tags"},
			Keyed: map[string]string{"$.lines": "id"}, Tolerances: map[string]shadow.Tolerance{"$..n": {Abs: 1}}},
		"few":  {MaxDiffs: 1, StatusClass: true},
		"ours": {Bodies: map[string]shadow.Comparator{"text/*": shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return nil })}},
	} {
		t.Run(name, func(t *testing.T) { assert.NoError(t, shadowtest.TestComparator(comparator(t, o))) })
	}
	assert.NoError(t, shadowtest.TestComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return nil })))
}

func TestTheMaskersOfTheLibraryPass(t *testing.T) {
	for name, m := range map[string]shadow.Masker{
		"MaskHeaders":     shadow.MaskHeaders("Authorization", "X-Empty"),
		"DropCredentials": shadow.DropCredentials(),
		"MaskQuery":       shadow.MaskQuery("token", "q"),
		"MaskJSON":        shadow.MaskJSON("$..password", "$.card", "$..a", "$.lines[-1]"),
		"all of JSON":     shadow.MaskJSON("$"),
		"SetHeader":       shadow.SetHeader("Authorization", "Bearer shadow"),
		"MaskAll":         shadow.MaskAll(shadow.DropCredentials(), shadow.MaskJSON("$..password"), shadow.MaskQuery("token")),
		"MaskAll of none": shadow.MaskAll(),
		"MaskDetected":    shadow.MaskDetected(),
		"a faulty one":    shadow.MaskJSON("$["),
	} {
		t.Run(name, func(t *testing.T) { assert.NoError(t, shadowtest.TestMasker(m)) })
	}
}

func TestTheSamplersOfTheLibraryPass(t *testing.T) {
	var rate shadow.RateVar
	rate.Set(0.5)
	user := func(r *http.Request) string { return r.Header.Get("X-User") }
	for name, s := range map[string]shadow.Sampler{
		"Rate":      shadow.Rate(0.5),
		"RateVar":   &rate,
		"PerSecond": shadow.PerSecond(10, 10),
		"ByKey":     shadow.ByKey(0.5, user),
		"ByRoute":   shadow.ByRoute(map[string]shadow.Sampler{"GET /items/{id}": shadow.Rate(1)}, nil),
		"All":       shadow.All(shadow.Rate(0.5), shadow.ByKey(1, user)),
		"Any":       shadow.Any(shadow.Rate(0.5), shadow.ByKey(1, user)),
	} {
		t.Run(name, func(t *testing.T) { assert.NoError(t, shadowtest.TestSampler(s)) })
	}
}

func TestTheReportersOfTheLibraryPass(t *testing.T) {
	log := shadow.LogReporter(slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})))
	assert.NoError(t, shadowtest.TestReporter(log))
	assert.NoError(t, shadowtest.TestReporter(shadow.MultiReporter(log, shadow.MultiReporter())))
}
