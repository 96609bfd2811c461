package typed_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/shadowtest"
	"github.com/goshadow/shadow/typed"
)

func exchange(primary, candidate string) *shadow.Exchange {
	answer := func(body string) *shadow.Message {
		return &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
			Body: []byte(body), Size: int64(len(body))}
	}
	return &shadow.Exchange{Request: &shadow.Message{Method: "GET"}, Primary: answer(primary), Shadow: answer(candidate)}
}

// written is one line for each difference.
func written(diffs []shadow.Diff) []string {
	lines := []string{}
	for _, d := range diffs {
		line := fmt.Sprintf("%s %s: %s, %s", d.Path, d.Kind, d.Primary, d.Shadow)
		if d.Class != "" {
			line = fmt.Sprintf("%s (%s)", line, d.Class)
		}
		lines = append(lines, line)
	}
	return lines
}

type (
	person struct {
		Name  string
		Born  time.Time          `json:"born,omitzero"`
		Email *string            `json:"email"`
		Pets  []pet              `json:"pets"`
		Score map[string]float64 `json:"a/b~c"`
		Any   any                `json:"any"`
		Photo []byte             `json:"photo"`
		Grid  [2][2]int          `json:"grid"`
		Years map[int]string     `json:"years"`
		address
		*Job
		Note   note   `json:"note"`
		Money  cents  `json:"money"`
		Hidden string `json:"-"`
		Dash   int    `json:"-,"`
		Quoted int    `json:"quoted,string"`
		Other  *pet
	}
	pet struct {
		Name string `json:"name"`
		Age  int    `json:"age"`
	}
	address struct {
		City string `json:"city"`
	}
	// Job is embedded by pointer.
	Job struct {
		Title string `json:"title"`
	}
	note  struct{ Text, Author string } // from one string
	cents struct{ Cents int64 }         // from a number
)

func (n *note) UnmarshalText(text []byte) error {
	n.Text, n.Author, _ = strings.Cut(string(text), " -- ")
	return nil
}

func (c *cents) UnmarshalJSON(text []byte) (err error) {
	var f float64
	err = json.Unmarshal(text, &f)
	c.Cents = int64(f * 100)
	return err
}

// allowEmbedded lets go-cmp look into the embedded struct, whose name is not exported.
var allowEmbedded = cmp.AllowUnexported(person{})

func TestDifferencesLeadToTheJSONTheyComeFrom(t *testing.T) {
	for name, c := range map[string]struct {
		primary, shadow string
		want            []string
	}{
		"white space, order and spelling of numbers": {`{"grid":[[1,2],[3,4]],"Name":"a"}`, ` {"Name":"\u0061", "grid":[[1,2],[3,4]]}`, nil},
		"what is not declared":                       {`{"Name":"a","x":1}`, `{"Name":"a","y":2}`, nil},
		"absent and zero":                            {`{"Name":""}`, `{}`, nil},
		"a field":                                    {`{"Name":"a"}`, `{"Name":"b"}`, []string{`/body/Name changed: "a", "b"`}},
		"a field in another case":                    {`{"name":"a"}`, `{"name":"b"}`, []string{`/body/name changed: "a", "b"`}},
		"in two cases":                               {`{"NAME":"a"}`, `{"name":"b"}`, []string{`/body/NAME changed: "a", "b"`}},
		"the exact case first":                       {`{"NAME":"x","Name":"a"}`, `{"NAME":"x","Name":"b"}`, []string{`/body/Name changed: "a", "b"`}},
		"a missing member":                           {`{"Name":"a"}`, `{}`, []string{`/body/Name missing: "a", `}},
		"an extra member":                            {`{}`, `{"Name":"a"}`, []string{`/body/Name extra: , "a"`}},
		"null":                                       {`{"email":null}`, `{"email":"a"}`, []string{`/body/email type-changed: null, "a"`}},
		"null and empty":                             {`{"pets":null}`, `{"pets":[]}`, []string{`/body/pets type-changed: null, []`}},
		"behind a pointer":                           {`{"email":"a"}`, `{"email":"b"}`, []string{`/body/email changed: "a", "b"`}},
		"in an element":                              {`{"pets":[{"age":1},{"age":2}]}`, `{"pets":[{"age":1},{"age":3}]}`, []string{`/body/pets/1/age changed: 2, 3`}},
		"in an array":                                {`{"grid":[[1,2],[3,4]]}`, `{"grid":[[1,2],[3,5]]}`, []string{`/body/grid/1/1 changed: 4, 5`}},
		"an array that is too short":                 {`{"grid":[[1,2],[3,4]]}`, `{"grid":[[1,2],[3]]}`, []string{`/body/grid/1/1 missing: 4, `}},
		"a missing element":                          {`{"pets":[{"age":1},{"age":2}]}`, `{"pets":[{"age":2}]}`, []string{`/body/pets/0 missing: {"age":1}, `}},
		"an extra element":                           {`{"pets":[{"age":2}]}`, `{"pets":[{"age":2},{"age":9}]}`, []string{`/body/pets/1 extra: , {"age":9}`}},
		"elements with little in common":             {`{"pets":[{"name":"a","age":1}]}`, `{"pets":[{"name":"b","age":2}]}`, []string{`/body/pets/0 changed: {"age":1,"name":"a"}, {"age":2,"name":"b"}`}},
		"keys are escaped":                           {`{"a/b~c":{"~/":1,"x":2}}`, `{"a/b~c":{"~/":3}}`, []string{`/body/a~1b~0c/x missing: 2, `, `/body/a~1b~0c/~0~1 changed: 1, 3`}},
		"keys are never folded":                      {`{"a/b~c":{"x":1}}`, `{"a/b~c":{"X":1}}`, []string{`/body/a~1b~0c/X extra: , 1`, `/body/a~1b~0c/x missing: 1, `}},
		"keys that are numbers, by value":            {`{"years":{"7":"a","10":"b","-1":"c"}}`, `{"years":{"7":"x","10":"y","-1":"z"}}`, []string{`/body/years/7 changed: "a", "x"`, `/body/years/10 changed: "b", "y"`, `/body/years/-1 changed: "c", "z"`}},
		"in an interface":                            {`{"any":{"a":[1,{"b":"x"}]}}`, `{"any":{"a":[1,{"b":"y"}]}}`, []string{`/body/any/a/1/b changed: "x", "y"`}},
		"types in an interface":                      {`{"any":1}`, `{"any":"1"}`, []string{`/body/any type-changed: 1, "1" (numeric)`}},
		"bytes are one string":                       {`{"photo":"AAECAw=="}`, `{"photo":"AAECBA=="}`, []string{`/body/photo changed: "AAECAw==", "AAECBA=="`}},
		"an embedded struct":                         {`{"city":"a"}`, `{"city":"b"}`, []string{`/body/city changed: "a", "b"`}},
		"an embedded pointer":                        {`{"title":"a"}`, `{"title":"b"}`, []string{`/body/title changed: "a", "b"`}},
		"a text that is two fields":                  {`{"note":"hi -- ann"}`, `{"note":"ho -- bob"}`, []string{`/body/note changed: "hi -- ann", "ho -- bob"`}},
		"a number that is a struct":                  {`{"money":1.50}`, `{"money":1.51}`, []string{`/body/money changed: 1.50, 1.51`}},
		"a member called -":                          {`{"-":1}`, `{"-":2}`, []string{`/body/- changed: 1, 2`}},
		"a number in a string":                       {`{"quoted":"1"}`, `{"quoted":"2"}`, []string{`/body/quoted changed: "1", "2"`}},
		"times":                                      {`{"born":"2001-02-03T04:05:06Z"}`, `{"born":"2001-02-03T04:05:07Z"}`, []string{`/body/born changed: "2001-02-03T04:05:06Z", "2001-02-03T04:05:07Z" (timestamp)`}},
		"times in two zones":                         {`{"born":"2001-02-03T04:05:06Z"}`, `{"born":"2001-02-03T05:05:06+01:00"}`, nil},
		"a struct that is only on one side":          {`{"Other":{"name":"a","age":1}}`, `{"Other":null}`, []string{`/body/Other type-changed: {"age":1,"name":"a"}, null`}},
		"in path order":                              {`{"title":"a","pets":[{"age":1}],"Name":"a","grid":[[0,1]]}`, `{"title":"b","pets":[{"age":2}],"Name":"b","grid":[[0,2]]}`, []string{`/body/Name changed: "a", "b"`, `/body/grid/0/1 changed: 1, 2`, `/body/pets/0/age changed: 1, 2`, `/body/title changed: "a", "b"`}},
		"indexes by value":                           {`{"any":[0,1,2,3,4,5,6,7,8,9,10]}`, `{"any":[0,1,"",3,4,5,6,7,8,9,""]}`, []string{`/body/any/2 type-changed: 2, ""`, `/body/any/10 type-changed: 10, ""`}},
		"angle brackets":                             {`{"Name":"<"}`, `{"Name":">"}`, []string{`/body/Name changed: "<", ">"`}},
		"large numbers":                              {`{"any":{"a":9007199254740993,"b":""}}`, `{"any":{"a":9007199254740993,"b":1}}`, []string{`/body/any/b type-changed: "", 1`}},
		"duplicates: the last":                       {`{"Name":"x","Name":"a"}`, `{"Name":"x","Name":"b"}`, []string{`/body/Name changed: "a", "b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange(c.primary, c.shadow)
			got := written(typed.Comparator[person](allowEmbedded).Compare(x).Diffs)
			if len(c.want) == 0 {
				assert.Empty(t, got)
				return
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// An element that changed and is not where it was cannot be one difference: its path would
// lead to something else in one of the answers.
func TestElementsThatMovedAndChangedAreTwoDifferences(t *testing.T) {
	got := typed.Comparator[person](allowEmbedded).Compare(exchange(
		`{"pets":[{"name":"x","age":0},{"name":"a","age":1},{"name":"b","age":2},{"name":"c","age":3}]}`,
		`{"pets":[{"name":"a","age":1},{"name":"b","age":7},{"name":"c","age":3}]}`)).Diffs
	assert.Equal(t, []string{
		`/body/pets/0 missing: {"age":0,"name":"x"}, `,
		`/body/pets/1 extra: , {"age":7,"name":"b"}`,
		`/body/pets/2 missing: {"age":2,"name":"b"}, `,
	}, written(got))
}

// A Transformer makes values that are nowhere in the JSON.
func TestPathsEndWhereATransformerBegins(t *testing.T) {
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	upper := cmp.Transformer("upper", strings.ToUpper)
	tags := typed.Comparator[map[string][]string](sorted)
	assert.Empty(t, tags.Compare(exchange(`{"a":["x","y"]}`, `{"a":["y","x"]}`)).Diffs)
	assert.Equal(t, []string{`/body/a changed: ["z","x","y"], ["y","x","q"]`},
		written(tags.Compare(exchange(`{"a":["z","x","y"]}`, `{"a":["y","x","q"]}`)).Diffs), "one, however many there are inside")
	names := typed.Comparator[pet](upper)
	assert.Empty(t, names.Compare(exchange(`{"name":"rex"}`, `{"name":"Rex"}`)).Diffs)
	assert.Equal(t, []string{`/body/name changed: "rex", "max"`}, written(names.Compare(exchange(`{"name":"rex"}`, `{"name":"max"}`)).Diffs))
}

// Both verdicts of each sort of option.
func TestOptionsDecideWhatIsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		option                cmp.Option
		primary, same, change string
	}{
		"ignored field": {cmpopts.IgnoreFields(pet{}, "Age"), `{"name":"a","age":1}`, `{"name":"a","age":2}`, `{"name":"b","age":2}`},
		"comparer":      {cmp.Comparer(strings.EqualFold), `{"name":"a"}`, `{"name":"A"}`, `{"name":"B"}`},
		"by path":       {cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Age" }, cmp.Ignore()), `{"age":1}`, `{"age":2}`, `{"age":2,"name":"x"}`},
		"in a group":    {cmp.Options{cmp.Options{cmpopts.IgnoreTypes(0)}}, `{"age":1}`, `{"age":2}`, `{"name":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			pets := typed.Comparator[pet](c.option)
			assert.Empty(t, pets.Compare(exchange(c.primary, c.same)).Diffs)
			assert.Len(t, pets.Compare(exchange(c.primary, c.change)).Diffs, 1)
			assert.Len(t, typed.Comparator[pet]().Compare(exchange(c.primary, c.same)).Diffs, 1, "without the option")
		})
	}
}

func TestABodyThatDoesNotDecodeIsADifference(t *testing.T) {
	pets := typed.Comparator[pet]()
	const syntax = `"error: unexpected end of JSON input"`
	for _, c := range [][3]string{
		{`{"age":1}`, `{"age":1`, `/body changed: , ` + syntax + ` (undecodable)`},
		{`{"age":1`, `{"age":1}`, `/body changed: ` + syntax + `,  (undecodable)`},
		{`{"age":1`, `{"age":`, `/body changed: ` + syntax + `, ` + syntax + ` (undecodable)`},
		{`{"age":1}`, ``, `/body missing: ,  (undecodable)`},
		{``, `{"age":1}`, `/body extra: ,  (undecodable)`},
		{`{"age":1}`, `{"age":"1"}`, `/body changed: , "error: json: cannot unmarshal string into Go struct field pet.age of type int" (undecodable)`},
	} {
		assert.Equal(t, []string{c[2]}, written(pets.Compare(exchange(c[0], c[1])).Diffs), "%s, %s", c[0], c[1])
	}
	assert.Empty(t, pets.Compare(exchange(`{"age":1`, `{"age":1`)).Diffs, "the same bytes are the same")
	assert.Empty(t, pets.Compare(exchange("", "")).Diffs)
}

// Of a prefix nobody knows whether the rest is the same.
func TestABodyThatIsNotThereAsAWholeIsADifference(t *testing.T) {
	for _, side := range []func(*shadow.Exchange) *shadow.Message{
		func(x *shadow.Exchange) *shadow.Message { return x.Primary },
		func(x *shadow.Exchange) *shadow.Message { return x.Shadow },
	} {
		x := exchange(`{"age":1}`, `{"age":1}`)
		side(x).Truncated = true
		got := typed.Comparator[pet]().Compare(x).Diffs
		require.Len(t, got, 1)
		assert.Equal(t, "/body", got[0].Path)
		assert.Equal(t, shadow.Changed, got[0].Kind)
		assert.Equal(t, typed.ClassUndecodable, got[0].Class)
	}
	x := exchange(`{"age":1}`, ``)
	x.Shadow.Truncated = true
	assert.Equal(t, shadow.Changed, typed.Comparator[pet]().Compare(x).Diffs[0].Kind, "it is there, nobody knows what")
}

type locked struct {
	mu    sync.Mutex //nolint:unused // what makes go-cmp panic
	Value int        `json:"value"`
}

// touchy panics where it is compared with a negative number.
type touchy int

func (v touchy) Equal(w touchy) bool {
	if v < 0 || w < 0 {
		panic(fmt.Errorf("no debts: %d, %d", v, w))
	}
	return v == w
}

func TestPanicsAreFindings(t *testing.T) {
	type account struct {
		Before  string   `json:"before"`
		Balance touchy   `json:"balance"`
		History []touchy `json:"history"`
	}
	accounts := typed.Comparator[account]()
	for name, c := range map[string]struct {
		by              shadow.Comparator
		primary, shadow string
		want            []string
	}{
		"no panic": {accounts, `{"balance":1}`, `{"balance":2}`, []string{`/body/balance changed: 1, 2`}},
		"in a method": {accounts, `{"balance":1}`, `{"balance":-1}`,
			[]string{`/body/balance changed: "panic: no debts: 1, -1", "panic: no debts: 1, -1" (panic)`}},
		"what was found before stays": {accounts, `{"balance":1,"before":"a"}`, `{"balance":-1,"before":"b"}`,
			[]string{`/body/balance changed: "panic: no debts: 1, -1", "panic: no debts: 1, -1" (panic)`, `/body/before changed: "a", "b"`}},
		"where go-cmp only tries": {accounts, `{"history":[1,2]}`, `{"history":[1,-3]}`,
			[]string{`/body/history/1 changed: "panic: no debts: 2, -3", "panic: no debts: 2, -3" (panic)`}},
		"in the decoder": {typed.Decoded(func([]byte) (int, error) { panic("at the disco") }), `1`, `2`,
			[]string{`/body changed: "panic: at the disco", "panic: at the disco" (panic)`}},
		"in a filter": {typed.Comparator[pet](cmp.FilterPath(func(p cmp.Path) bool { return p[7] == nil }, cmp.Ignore())), `{"age":1}`, `{"age":2}`,
			[]string{`/body changed: "panic: runtime error: index out of range [7] with length 1", "panic: runtime error: index out of range [7] with length 1" (panic)`}},
		"with nil": {typed.Decoded(func([]byte) (int, error) { panic(nil) }), `1`, `2`, //nolint:govet // the point
			[]string{`/body changed: "panic: panic called with nil argument", "panic: panic called with nil argument" (panic)`}},
		"with what cannot be compared": {typed.Decoded(func([]byte) (int, error) { panic([]int{1}) }), `1`, `2`,
			[]string{`/body changed: "panic: [1]", "panic: [1]" (panic)`}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, written(c.by.Compare(exchange(c.primary, c.shadow)).Diffs))
		})
	}
}

func TestAnUnexportedFieldWithoutAnOptionIsAFindingAndSaysSo(t *testing.T) {
	x := exchange(`{"value":1}`, `{"value":2}`)
	got := typed.Comparator[*locked]().Compare(x).Diffs
	require.Len(t, got, 1)
	assert.Equal(t, "/body", got[0].Path)
	assert.Equal(t, typed.ClassPanic, got[0].Class)
	assert.Contains(t, string(got[0].Shadow), "cannot handle unexported field")
	assert.Contains(t, string(got[0].Shadow), "mu")
	assert.Equal(t, []string{`/body/value changed: 1, 2`},
		written(typed.Comparator[*locked](cmpopts.IgnoreUnexported(locked{})).Compare(x).Diffs))
}

// An option that go-cmp refuses is found with the first answers that differ.
func TestAnOptionThatGoCmpRefusesIsAFinding(t *testing.T) {
	got := typed.Comparator[pet](cmp.Ignore()).Compare(exchange(`{"age":1}`, `{"age":2}`)).Diffs
	require.Len(t, got, 1)
	assert.Equal(t, typed.ClassPanic, got[0].Class)
	assert.Contains(t, string(got[0].Primary), "unfiltered option")
}

// Go-cmp takes 3ⁿ steps for n slices in each other.
func TestHostileNestingIsGivenUp(t *testing.T) {
	nested := func(n int, inner string) string { return strings.Repeat("[", n) + inner + strings.Repeat("]", n) }
	values := typed.Comparator[any]()
	for _, n := range []int{1, 5} {
		got := values.Compare(exchange(nested(n, "1"), nested(n, "2"))).Diffs
		assert.Equal(t, []string{"/body" + strings.Repeat("/0", n) + " changed: 1, 2"}, written(got))
	}
	for _, n := range []int{100, 2000} {
		got := values.Compare(exchange(nested(n, "1"), nested(n, "2"))).Diffs
		assert.Equal(t, []string{`/body changed: "too many steps", "too many steps" (unfinished)`}, written(got))
	}
	got := values.Compare(exchange(nested(10001, "1"), nested(10001, "2"))).Diffs
	require.Len(t, got, 1)
	assert.Equal(t, typed.ClassUndecodable, got[0].Class)
}

func TestDifferencesAreCapped(t *testing.T) {
	list := func(n int, value string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":%s`, i, value)
		}
		return "{" + b.String()[1:] + "}"
	}
	numbers := typed.Comparator[map[string]json.Number]()
	assert.Len(t, numbers.Compare(exchange(list(9_999, "1"), list(9_999, "2"))).Diffs, 9_999)
	assert.Len(t, numbers.Compare(exchange(list(10_001, "1"), list(10_001, "2"))).Diffs, 10_000)
}

// Large bodies of many small values are compared to the end.
func TestLargeBodiesAreComparedToTheEnd(t *testing.T) {
	list := func(first, last int) string {
		var pets []pet
		for i := range 20_000 {
			pets = append(pets, pet{Name: "a", Age: i})
		}
		pets[0].Age, pets[len(pets)-1].Age = first, last
		text, err := json.Marshal(pets)
		require.NoError(t, err)
		return string(text)
	}
	got := typed.Comparator[[]pet]().Compare(exchange(list(0, 1), list(7, 8))).Diffs
	assert.Equal(t, []string{"/body/0/age changed: 0, 7", "/body/19999/age changed: 1, 8"}, written(got))
}

func TestOtherFormatsHaveThePathsOfTheirValues(t *testing.T) {
	type item struct {
		XMLName xml.Name `xml:"item" json:"-"`
		Name    string   `xml:"name" json:"name"`
		Tags    []string `xml:"tag" json:"tags"`
	}
	items := typed.Decoded(func(body []byte) (i item, err error) {
		err = xml.Unmarshal(body, &i)
		return i, err
	})
	got := items.Compare(exchange(`<item><name>a</name><tag>x</tag><tag>y</tag></item>`, `<item><tag>x</tag><name>b</name></item>`)).Diffs
	assert.Equal(t, []string{`/body/name changed: , `, `/body/tags/1 missing: , `}, written(got))

	lines := typed.Decoded(func(body []byte) (list []map[string]int, err error) {
		for d := json.NewDecoder(strings.NewReader(string(body))); d.More() && err == nil; {
			var one map[string]int
			err = d.Decode(&one)
			list = append(list, one)
		}
		return list, err
	})
	got = lines.Compare(exchange("{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":2, \"b\":1}\n")).Diffs
	assert.Equal(t, []string{`/body/1/b extra: , `}, written(got))
}

// Of keys that are no strings, the path has what encoding/json writes.
func TestMapKeysAreNamedAsInJSON(t *testing.T) {
	assert.Panics(t, func() { typed.Decoded[int](nil) })
	times := typed.Comparator[map[time.Time]int]()
	got := times.Compare(exchange(`{"2001-02-03T04:05:06Z":1}`, `{"2001-02-03T04:05:06Z":2}`)).Diffs
	assert.Equal(t, []string{`/body/2001-02-03T04:05:06Z changed: 1, 2`}, written(got))
	keyed := typed.Decoded(func(body []byte) (map[uint8]string, error) { return map[uint8]string{7: string(body)}, nil })
	assert.Equal(t, []string{`/body/7 changed: , `}, written(keyed.Compare(exchange("x", "y")).Diffs))
}

// Registered for a media type, it does not keep the rest of the answers from being compared,
// and the Result has the values of the masked answers.
func TestRegisteredForAMediaType(t *testing.T) {
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	compare := func(by shadow.Comparator, primary, candidate http.Handler) *shadow.Result {
		var result *shadow.Result
		mirror, err := shadow.New(shadow.InProcess("v2", candidate),
			shadow.WithCompare(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{"application/json": by}}),
			shadow.WithMasker(shadow.MaskJSON("$.name")),
			shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
				result = r
				return nil
			})))
		require.NoError(t, err)
		mirror.Handler(primary).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		require.NoError(t, mirror.Shutdown(context.Background()))
		require.NotNil(t, result)
		return result
	}

	r := compare(typed.Comparator[pet](), answer(200, `{"name":"rex","age":1}`), answer(200, `{"age":1, "name":"rex", "x":0}`))
	assert.Equal(t, shadow.Match, r.Outcome)

	r = compare(typed.Comparator[pet](), answer(200, `{"name":"rex","age":1}`), answer(201, `{"name":"max","age":2}`))
	assert.Equal(t, shadow.Mismatch, r.Outcome)
	assert.Equal(t, []string{`/body/age changed: 1, 2`, `/body/name changed: "[masked]", "[masked]"`, `/status changed: 200, 201`}, written(r.Diffs))

	r = compare(typed.Comparator[map[string]touchy](), answer(200, `{"a":1}`), answer(500, `{"a":-1}`))
	assert.Equal(t, shadow.Mismatch, r.Outcome)
	assert.Equal(t, []string{`/body/a changed: 1, -1 (panic)`, `/status changed: 200, 500`}, written(r.Diffs),
		"a panic hides neither the status nor where it was")
}

func TestKeepsTheContractOfAComparator(t *testing.T) {
	samples := []*shadow.Exchange{
		exchange(`{"Name":"a","pets":[{"age":1},{"age":2}],"any":{"x":[1,2,3]}}`, `{"Name":"b","pets":[{"age":2}],"any":{"x":[1,3]}}`),
		exchange(`{"Name":"a"`, `{"Name":"b"}`),
	}
	assert.NoError(t, shadowtest.TestComparator(typed.Comparator[person](allowEmbedded), samples...))
	assert.NoError(t, shadowtest.TestComparator(typed.Comparator[person](), samples...), "go-cmp panics all the time")
	assert.NoError(t, shadowtest.TestComparator(typed.Comparator[map[string]any](), samples...))
}

// Slices in slices in slices are the most go-cmp has to do in formats that are in use.
func TestGeoJSONIsComparedToTheEnd(t *testing.T) {
	shape := func(format string, last float64) string {
		var b strings.Builder
		for i := range 2_000 {
			fmt.Fprintf(&b, format+",", float64(i)/7, -float64(i)/7)
		}
		fmt.Fprintf(&b, format, last, last)
		return `{"coordinates":[[[` + b.String() + `]]]}`
	}
	shapes := typed.Comparator[map[string]any]()
	assert.Empty(t, shapes.Compare(exchange(shape("[%.5f,%.5f]", 1), shape("[%.5f, %.5f]", 1))).Diffs)
	assert.Equal(t, []string{"/body/coordinates/0/0/2000 changed: [1.00000,1.00000], [2.00000,2.00000]"},
		written(shapes.Compare(exchange(shape("[%.5f,%.5f]", 1), shape("[%.5f, %.5f]", 2))).Diffs))
}

// For any two documents: there are differences where the decoded values differ, and their
// paths lead to something in one of the two.
func FuzzDifferencesAreFoundAndHaveAPlace(f *testing.F) {
	f.Add(`{"a":[1,2,{"b":null}],"c/~":"x"}`, `{"a":[2,{"b":1}],"c/~":"y","d":[]}`)
	f.Add(`[[1],[2],[3]]`, `[[3],[2,2],[1]]`)
	f.Add(`{"":{"":0}}`, `{"":{"":"0"}}`)
	f.Add(`[1,2,3,4]`, `[0,1,9,3]`)
	f.Add(`[`, `{}`)
	values := typed.Comparator[any]()
	f.Fuzz(func(t *testing.T, primary, candidate string) {
		x := exchange(primary, candidate)
		diffs := values.Compare(x).Diffs
		require.Equal(t, written(diffs), written(values.Compare(x).Diffs), "the same each time")
		var a, b any
		errA, errB := json.Unmarshal([]byte(primary), &a), json.Unmarshal([]byte(candidate), &b)
		if errA != nil || errB != nil {
			require.Equal(t, primary != candidate, len(diffs) == 1)
			return
		}
		require.Equal(t, !cmp.Equal(a, b), len(diffs) > 0, "%v", written(diffs))
		for _, d := range diffs {
			if d.Class == typed.ClassUnfinished {
				return
			}
			require.True(t, d.Primary != nil || d.Shadow != nil, "%s is nowhere", d.Path)
			require.Equal(t, d.Primary == nil, d.Kind == shadow.Extra, d.Path)
			require.Equal(t, d.Shadow == nil, d.Kind == shadow.Missing, d.Path)
			require.NotEqual(t, string(d.Primary), string(d.Shadow), d.Path)
		}
	})
}
