package gate

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// everything has each member of Criteria.
func everything() Criteria {
	return Criteria{
		Mirror: "orders", Target: "v2",
		Confidence:  0.99,
		Looks:       Once,
		MinDuration: Duration(90 * time.Minute),
		Coverage:    Coverage{Share: 0.9, Compared: 10, Routes: []string{"GET /orders/{id}"}},
		Exclude:     []string{"GET /healthz"},
		Limits:      Limits{Compared: 5000, DiffRate: 0.001, RawDiffRate: 0.01, ErrorRate: 0.005, P95Ratio: 2, Correlation: 0.99, DropShare: 0.01, LagMedian: 300},
		EachRoute:   Limits{DiffRate: 0.01},
		Routes:      map[string]Limits{"POST /search": {DiffRate: 0.05}},
		Events:      map[shadow.EventKind]uint64{"leak": 0},
		Figures:     map[string]Range{"cost": {Max: new(0.05)}, "spans": {Min: new(0.99)}},
	}
}

func TestCriteriaAreData(t *testing.T) {
	for _, c := range []Criteria{everything(), Default()} {
		require.NoError(t, c.Validate())
		data, err := json.MarshalIndent(c, "", "  ")
		require.NoError(t, err)
		var read Criteria
		require.NoError(t, json.Unmarshal(data, &read))
		assert.Empty(t, cmp.Diff(c, read))
	}
	data, err := json.MarshalIndent(everything(), "", "  ")
	require.NoError(t, err)
	golden(t, "criteria.json", string(data)+"\n")
}

// Each line of what is wrong is one fault; all of them are reported at once.
func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		json string
		want []string
	}{
		{"nothing to decide", `{}`, []string{"limits: there is nothing to decide: everything would pass. See gate.Default"}},
		{"no object", `[]`, []string{"is not an object"}},
		{"null", `null`, []string{"is not an object"}},
		{"unknown members", `{"limit":{}, "Confidence":0.9, "coverage":{"shares":1}, "figures":{"cost":{"most":1}}}`, []string{
			"limit: there is no such member",
			"Confidence: there is no such member",
			`coverage["shares"]: there is no such member`,
			`figures["cost"]["most"]: there is no such member`,
			`figures["cost"]: has neither min nor max`,
		}},
		{"repeated members", `{"limits":{"diffRate":0.1,"diffRate":0.2},"limits":{"diffRate":0.1}}`, []string{
			`limits["diffRate"]: is there twice`,
			"limits: is there twice",
		}},
		{"types", `{"mirror":1,"target":null,"confidence":"0.9","looks":[],"minDuration":3600,"exclude":"x","limits":{"diffRate":"1 %"},
			"eachRoute":[],"routes":{"GET /":0.1},"events":{"leak":-1,"side-effect":0.5},"figures":{"cost":{"min":{}}},"coverage":{"routes":["a",1],"compared":1e3}}`, []string{
			"mirror: is not a string",
			"target: is not a string",
			"confidence: is not a number that fits",
			"looks: is not a string",
			`minDuration: is not a duration such as "1h30m"`,
			"exclude: is not an array of strings",
			"limits.diffRate: is not a number that fits",
			"eachRoute: is not an object",
			`routes["GET /"]: is not an object`,
			`events["leak"]: is not a whole number from 0 on`,
			`events["side-effect"]: is not a whole number from 0 on`,
			`figures["cost"].min: is not a number that fits`,
			"coverage.routes[1]: is not a string",
			"coverage.compared: is not a whole number from 0 on",
			`routes["GET /"]: has no limits: list the route in exclude, or leave it out`,
			"limits.diffRate: no sample shows that a rate is under 0: choose a limit over 0",
		}},
		{"ranges", `{"confidence":95,"looks":"daily","minDuration":"-1h","coverage":{"share":1.5},"limits":{"diffRate":0,"rawDiffRate":1,"errorRate":-1,"correlation":1,
			"dropShare":1e999,"p95Ratio":0,"lagMedian":-5,"compared":10.5,"latency":3}}`, []string{
			"limits.dropShare: is not a number that fits",
			"confidence: 95 is not between 0.5 and 1 (write 0.95 for 95 %)",
			`looks: "daily" is neither "any-time" nor "once"`,
			"minDuration: -1h0m0s is negative",
			"coverage.share: 1.5 is not between 0 and 1",
			"limits.compared: 10.5 is not a whole number that could be counted",
			"limits.correlation: no sample shows that a share is over 1: choose a limit under 1",
			"limits.diffRate: no sample shows that a rate is under 0: choose a limit over 0",
			"limits.dropShare: +Inf is no limit",
			"limits.errorRate: no sample shows that a rate is under -1: choose a limit over 0",
			"limits.lagMedian: -5 is not over 0",
			"limits.latency: there is no such measure; there are compared, diffRate, rawDiffRate, errorRate, uncomparedRate, p95Ratio, correlation, dropShare, lagMedian",
			"limits.p95Ratio: 0 is not over 0",
			"limits.rawDiffRate: 1 is no limit for a share of 1: 0.1 % is 0.001",
		}},
		{"defaults are left out", `{"confidence":0,"coverage":{"share":0},"limits":{"diffRate":0.1}}`, []string{
			"confidence: 0 is not over 0",
			"coverage.share: 0 is not over 0",
		}},
		{"contradictions", `{"exclude":["GET /a","GET /a","GET /b","GET /c"],"coverage":{"routes":["GET /b","GET /d","GET /d"]},
			"routes":{"GET /c":{"diffRate":0.1},"GET /e":{}},"limits":{"diffRate":0.1,"rawDiffRate":0.01},
			"eachRoute":{"dropShare":0.1,"correlation":-1},"figures":{"cost":{"min":2,"max":1}},"events":{"":0}}`, []string{
			`exclude[1]: "GET /a" is listed twice`,
			`coverage.routes[0]: "GET /b" has to be covered and is excluded`,
			`coverage.routes[2]: "GET /d" is listed twice`,
			`routes["GET /c"]: the route has limits and is excluded`,
			`routes["GET /e"]: has no limits: list the route in exclude, or leave it out`,
			"events: a kind of event has no name",
			"limits: diffRate under 0.1 contradicts rawDiffRate under 0.01: the first is never the greater one",
			"eachRoute.correlation: -1 is no limit for a share of 1: 99 % is 0.99",
			"eachRoute.dropShare: is not known by route: move it to limits",
			`figures["cost"]: min (2) is over max (1): no figure is between`,
		}},
		{"what has no effect", `{"coverage":{"compared":10},"limits":{"diffRate":0.1}}`, []string{
			"coverage.compared: has no effect without share or routes",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := everything()
			err := read.UnmarshalJSON([]byte(c.json))
			require.Error(t, err)
			var got []string
			for line := range strings.SplitSeq(err.Error(), "\n") {
				got = append(got, strings.TrimPrefix(line, "gate: criteria: "))
			}
			assert.Empty(t, cmp.Diff(c.want, got))
			assert.Empty(t, cmp.Diff(everything(), read), "with an error nothing changes")
		})
	}
}

func TestWhatIsNoJSONIsAnError(t *testing.T) {
	for _, text := range []string{"", "{", `{"limits":{}} x`, "nul"} {
		var c Criteria
		assert.ErrorContains(t, c.UnmarshalJSON([]byte(text)), "not valid JSON", text)
	}
}

func TestCriteriaInGoAreValidatedToo(t *testing.T) {
	for _, bad := range []Criteria{
		{},
		{EachRoute: Limits{}},
		{Confidence: math.NaN(), Limits: Limits{DiffRate: 0.1}},
		{Limits: Limits{DiffRate: math.NaN()}},
		{Limits: Limits{P95Ratio: math.Inf(1)}},
		{Limits: Limits{Compared: 1e300}},
		{Coverage: Coverage{Share: math.NaN()}, Limits: Limits{DiffRate: 0.1}},
		{Figures: map[string]Range{"cost": {Min: new(math.NaN())}}},
	} {
		assert.Error(t, bad.Validate(), "%+v", bad)
	}
}

func FuzzCriteriaThatAreReadAreValidAndStayTheSame(f *testing.F) {
	data, err := json.Marshal(everything())
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(`{"limits":{"diffRate":0.1},"minDuration":"1h"}`))
	f.Add([]byte(`{"limits":{"diffRate":1e-400},"events":{"\ud800":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Criteria
		if err := c.UnmarshalJSON(data); err != nil {
			return
		}
		require.NoError(t, c.Validate())
		again, err := json.Marshal(c)
		require.NoError(t, err)
		var second Criteria
		require.NoError(t, second.UnmarshalJSON(again), "%s", again)
		// What nothing was said about may be there empty, or not at all.
		third, err := json.Marshal(second)
		require.NoError(t, err)
		require.Equal(t, string(again), string(third))
		_, err = c.Decide(snapshot(), nil)
		require.NoError(t, err)
	})
}
