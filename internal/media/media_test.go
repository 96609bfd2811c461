package media_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOf(t *testing.T) {
	for contentType, want := range map[string]media.Kind{
		"":                                    media.Bytes,
		";":                                   media.Bytes,
		"text/plain":                          media.Lines,
		"application/octet-stream":            media.Bytes,
		"application/jsonp":                   media.Bytes,
		"json":                                media.Bytes,
		"text/html; a=application/json":       media.Lines,
		"application/json":                    media.JSON,
		"application/json; charset=utf-8":     media.JSON,
		"application/json;":                   media.JSON,
		"application/json; charset":           media.JSON, // a server is not to be compared worse for that
		" Application/JSON ;charset=\"x":      media.JSON,
		"text/json":                           media.JSON,
		"application/problem+json":            media.JSON,
		"application/vnd.api+JSON; ext=\"a\"": media.JSON,
		"application/x-ndjson":                media.Records,
		"application/ndjson":                  media.Records,
		"application/jsonl; charset=utf-8":    media.Records,
		"application/x-jsonlines":             media.Records,
		"application/json-seq":                media.Records,
		"application/geo+json-seq":            media.Records,
	} {
		assert.Equal(t, want, media.Of(contentType).Kind, "%q", contentType)
	}
}

func each(body string) (records []string) {
	for at, record := range media.Each([]byte(body)) {
		if body[at:at+len(record)] != string(record) {
			records = append(records, "wrong offset")
		}
		records = append(records, string(record))
	}
	return records
}

func TestEach(t *testing.T) {
	for body, want := range map[string][]string{
		"":                                    nil,
		"\n\n \t\r\n":                         nil,
		"{}":                                  {"{}"},
		"{}\n":                                {"{}"},
		"{}\n[]":                              {"{}", "[]"},
		" {} \r\n\n\t[1, 2]\r\n":              {"{}", "[1, 2]"},
		"\x1e{}\n":                            {"{}"},
		"\x1e{}\n\x1e[]\n":                    {"{}", "[]"},
		"\x1e{\n  \"a\": 1\n}\n\x1e[\n1\n]\n": {"{\n  \"a\": 1\n}", "[\n1\n]"}, // RFC 7464 lets a text have lines
		"\x1e\x1e \n\x1e{}":                   {"{}"},
	} {
		assert.Equal(t, want, each(body), "%q", body)
	}
	for at, record := range media.Each([]byte("1\n2\n3")) {
		assert.Equal(t, 0, at)
		assert.Equal(t, "1", string(record))
		break
	}
}

// What was written as lines or as a sequence of JSON texts is read back as these texts.
func FuzzEachReadsWhatWasWritten(f *testing.F) {
	f.Add([]byte("{\"a\": 1}\x00[1,\n2]\x00\"x\\u001e\"\x00 3 "))
	f.Fuzz(func(t *testing.T, texts []byte) {
		var want []string
		var lines, sequence bytes.Buffer
		oneLine := true
		for text := range bytes.SplitSeq(texts, []byte{0}) {
			if !json.Valid(text) {
				continue
			}
			text = bytes.Trim(text, " \t\r\n")
			want = append(want, string(text))
			oneLine = oneLine && !bytes.Contains(text, []byte("\n"))
			lines.Write(append(bytes.Clone(text), '\n'))
			sequence.Write(append(append([]byte{0x1e}, text...), '\n'))
		}
		require.Equal(t, want, each(sequence.String()))
		if oneLine {
			require.Equal(t, want, each(lines.String()))
		}

		// Of anything at all nothing but white space and separators is lost.
		all := strings.Join(each(string(texts)), "")
		drop := func(s string) string {
			return strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "\x1e", "").Replace(s)
		}
		require.Equal(t, drop(string(texts)), drop(all))
	})
}
