package shadow_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// bodiesDiffer are the paths at which two bodies of a media type differ, and the error.
func bodiesDiffer(t *testing.T, o shadow.CompareOptions, mediaType, p, s string) (paths []string, err error) {
	t.Helper()
	c, err := shadow.NewComparator(o)
	require.NoError(t, err)
	message := func(body string) *shadow.Message {
		return &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {mediaType}}, Body: []byte(body), Size: int64(len(body))}
	}
	got := c.Compare(&shadow.Exchange{Primary: message(p), Shadow: message(s)})
	for _, d := range got.Diffs {
		paths = append(paths, d.Path)
	}
	return paths, got.Err
}

func TestMediaTypesThatAreKnownToBeJSON(t *testing.T) {
	for _, name := range []string{"application/x-amz-json-1.0", "application/x-amz-json-1.1; charset=utf-8", "application/csp-report", "text/x-json"} {
		paths, err := bodiesDiffer(t, shadow.CompareOptions{Ignore: []string{"$.at"}}, name, `{"at":1,"b":2,"c":3}`, `{"c":4,"b":2,"at":9}`)
		require.NoError(t, err)
		assert.Equal(t, []string{"/body/c"}, paths, name)
	}
	for _, name := range []string{"application/x-json-stream", "application/stream+json", "application/jsonlines", "text/x-ndjson", "application/vnd.elasticsearch+x-ndjson"} {
		paths, err := bodiesDiffer(t, shadow.CompareOptions{}, name, "{\"a\":1,\"b\":2}\n[1]\n", "{\"b\":2,\"a\":1}\n[2]\n")
		require.NoError(t, err)
		assert.Equal(t, []string{"/body/1/0"}, paths, name)
	}
}

// A media type can be declared to be one that is known, also for a comparator of its own and
// for parts.
func TestMediaTypesMapToOnesThatAreKnown(t *testing.T) {
	types := map[string]string{"Application/Vnd.Acme": "application/json", "application/x-log": "application/x-ndjson"}
	const p, s = `{"l":[{"id":1,"v":1},{"id":2,"v":2}]}`, `{"l":[{"id":2,"v":2},{"id":1,"v":3}]}`
	keyed := shadow.CompareOptions{MediaTypes: types, Keyed: map[string]string{"$.l": "id"}}
	paths, err := bodiesDiffer(t, keyed, "application/vnd.ACME; v=1", p, s)
	require.NoError(t, err)
	assert.Equal(t, []string{"/body/l/id=1/v"}, paths)
	paths, _ = bodiesDiffer(t, shadow.CompareOptions{}, "application/vnd.acme", p, s)
	assert.Equal(t, []string{"/body"}, paths, "not known")
	paths, _ = bodiesDiffer(t, keyed, "application/x-log", "{\"a\":1}\n{\"b\":1}\n", "{ \"a\":1}\n{\"b\":2}\n")
	assert.Equal(t, []string{"/body/1/b"}, paths)
	paths, _ = bodiesDiffer(t, keyed, "multipart/mixed; boundary=x", "--x\r\nContent-Type: application/vnd.acme\r\n\r\n{\"a\":1}\r\n--x--", "--x\r\nContent-Type: application/vnd.acme\r\n\r\n{\"a\":2}\r\n--x--")
	assert.Equal(t, []string{"/body/0/a"}, paths)

	inner, err := shadow.NewComparator(shadow.CompareOptions{Keyed: map[string]string{"$.l": "id"}})
	require.NoError(t, err)
	paths, _ = bodiesDiffer(t, shadow.CompareOptions{MediaTypes: types, Bodies: map[string]shadow.Comparator{"application/vnd.acme": inner}}, "application/vnd.acme", p, s)
	assert.Equal(t, []string{"/body/l/id=1/v"}, paths)
	assert.Equal(t, uint64(1), inner.Rules()[0].Count)

	// In a Result the values are those of the masked answers.
	header := http.Header{"Content-Type": {"application/vnd.acme"}}
	res := exchange(t, said{header: header, body: p}, shadow.InProcess("candidate", said{header: header, body: s}), get(), shadow.WithCompare(keyed))
	assert.Equal(t, []string{"/body/l/id=1/v changed 1 3"}, written(res.Diffs))

	// Names that the masked answers hold are shown.
	hide := shadow.MaskerFunc(func(m *shadow.Message) error {
		m.Body = bytes.ReplaceAll(m.Body, []byte("secret"), []byte("hidden"))
		return nil
	})
	res = exchange(t, said{header: header, body: `{"pin":"secret","v":1,"secret":1}`}, shadow.InProcess("candidate", said{header: header, body: `{"pin":"secret","v":2,"secret":2}`}), get(),
		shadow.WithCompare(keyed), shadow.WithRecordMasker(shadow.MaskAll(hide, shadow.AllowBodies("*/*"))))
	assert.Equal(t, []string{`/body/[masked] changed "[masked]" "[masked]"`, "/body/v changed 1 2"}, written(res.Diffs))
}

func TestFaultsOfMediaTypesAndRulesAreToldAtOnce(t *testing.T) {
	rules, err := shadow.NewComparator(shadow.CompareOptions{Ignore: []string{"$.a"}})
	require.NoError(t, err)
	none, err := shadow.NewComparator(shadow.CompareOptions{})
	require.NoError(t, err)
	for want, o := range map[string]shadow.CompareOptions{
		`MediaTypes: "json" is not a media type`:             {MediaTypes: map[string]string{"json": "application/json"}},
		`MediaTypes: "image/*" is not a media type`:          {MediaTypes: map[string]string{"image/*": "application/json"}},
		`MediaTypes: "a/b": "image/png" is not`:              {MediaTypes: map[string]string{"a/b": "image/png"}},
		`Bodies: "application/vnd.acme" is not read as JSON`: {Bodies: map[string]shadow.Comparator{"application/vnd.acme": rules}},
		`Bodies: "+cbor" is not read as JSON`:                {Bodies: map[string]shadow.Comparator{"+cbor": rules}},
		`Bodies: "text/plain" is not read as JSON`:           {Bodies: map[string]shadow.Comparator{"text/plain": rules}},
		`Keyed: "$.l": "$.id" is a path`:                     {Keyed: map[string]string{"$.l": "$.id"}},
		`Keyed: "$.l": "product.id" is a path`:               {Keyed: map[string]string{"$.l": "product.id"}},
		`Keyed: "$.l": "/id" is a path`:                      {Keyed: map[string]string{"$.l": "/id"}},
		`Keyed: "$.l": "a[0]" is a path`:                     {Keyed: map[string]string{"$.l": "a[0]"}},
		`Keyed: "$.l" is in Unordered too`:                   {Keyed: map[string]string{"$.l": "id"}, Unordered: []string{"$.l"}},
		`Tolerances: "$.n": no bound is set`:                 {Tolerances: map[string]shadow.Tolerance{"$.n": {}}},
	} {
		_, err := shadow.NewComparator(o)
		assert.ErrorContains(t, err, "shadow: CompareOptions."+want)
	}
	for _, o := range []shadow.CompareOptions{
		{Bodies: map[string]shadow.Comparator{"application/vnd.acme": none, "application/*": rules, "+json": rules, "application/x-ndjson": rules}},
		{Bodies: map[string]shadow.Comparator{"application/vnd.acme": rules}, MediaTypes: map[string]string{"application/vnd.acme": "application/json"}},
		{Keyed: map[string]string{"$.l": `@odata\.id`}},
	} {
		_, err := shadow.NewComparator(o)
		assert.NoError(t, err)
	}
	paths, _ := bodiesDiffer(t, shadow.CompareOptions{Keyed: map[string]string{"$": `a\.b`}}, "application/json", `[{"a.b":1,"v":1},{"a.b":2}]`, `[{"a.b":2},{"a.b":1,"v":2}]`)
	assert.Equal(t, []string{"/body/a.b=1/v"}, paths)
}

// A member that no element has pairs nothing.
func TestAMisspeltKeyHasNoEffect(t *testing.T) {
	c, err := shadow.NewComparator(shadow.CompareOptions{Keyed: map[string]string{"$.l": "Id", "$.m": "id"}})
	require.NoError(t, err)
	c.Compare(&shadow.Exchange{
		Primary: saidJSON(`{"l":[{"id":1},{"id":2}],"m":[{"id":1},{"id":2}]}`).message(),
		Shadow:  saidJSON(`{"l":[{"id":2},{"id":1}],"m":[{"id":2},{"id":1}]}`).message()})
	assert.Equal(t, []shadow.RuleUse{{Option: "Keyed", Path: "$.l"}, {Option: "Keyed", Path: "$.m", Count: 1}}, c.Rules())
}

// Without its descriptor nobody knows whether two protobuf messages are the same: a map is
// written in any order.
func TestProtobufThatDiffersIsNotCompared(t *testing.T) {
	for _, name := range []string{
		"application/x-protobuf", "application/protobuf; proto=a.B", "application/vnd.google.protobuf", "application/grpc", "application/grpc+proto",
		"application/grpc-web+proto", "application/grpc-web-text", "application/connect+proto", "application/proto", "application/vnd.acme+protobuf",
	} {
		paths, err := bodiesDiffer(t, shadow.CompareOptions{}, name, "\x0a\x01a\x0a\x01b", "\x0a\x01b\x0a\x01a")
		assert.ErrorIs(t, err, shadow.ErrBody, name)
		assert.ErrorContains(t, err, "shadowgrpc")
		assert.Equal(t, []string{"/body"}, paths, "who calls a Comparator by himself sees no match")
		paths, err = bodiesDiffer(t, shadow.CompareOptions{}, name, "\x0a\x01a", "\x0a\x01a")
		assert.NoError(t, err)
		assert.Empty(t, paths)
		paths, err = bodiesDiffer(t, shadow.CompareOptions{}, name, "\x0a\x01a", "")
		assert.NoError(t, err)
		assert.Equal(t, []string{"/body"}, paths)
		same := shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return nil })
		_, err = bodiesDiffer(t, shadow.CompareOptions{Bodies: map[string]shadow.Comparator{"application/*": same}}, name, "a", "b")
		assert.NoError(t, err)
	}
	_, err := bodiesDiffer(t, shadow.CompareOptions{}, "application/grpc+json", "{\"a\":1}", "{\"a\":2}")
	assert.NoError(t, err)

	header := http.Header{"Content-Type": {"application/grpc"}}
	res := exchange(t, said{header: header, body: "ab"}, shadow.InProcess("candidate", said{header: header, body: "ba"}), get())
	assert.Equal(t, shadow.Uncompared, res.Outcome)
	assert.True(t, errors.Is(res.Err, shadow.ErrBody))
	res = exchange(t, said{header: header, body: "ab"}, shadow.InProcess("candidate", said{header: header, body: "ba", status: 500}), get())
	assert.Equal(t, shadow.Mismatch, res.Outcome, "the status differs")
}
