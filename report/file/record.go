package file

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/goshadow/shadow"
)

// version is that of the form of a Record.
const version = 1

// Record is a result as it stands in a file: one line of JSON. What it holds was masked by
// the Mirror before it was reported.
type Record struct {
	Version int       `json:"v"` // 1
	Time    time.Time `json:"time"`
	ID      string    `json:"id"`
	Mirror  string    `json:"mirror"`
	Target  string    `json:"target"`
	Route   string    `json:"route"`
	Outcome string    `json:"outcome"`
	Error   string    `json:"error,omitempty"`

	Diffs []Diff `json:"diffs,omitempty"`
	Noise []Diff `json:"noise,omitempty"`
	More  bool   `json:"more,omitempty"` // there are more differences than Diffs holds

	Request *Message `json:"request,omitempty"`
	Primary *Message `json:"primary,omitempty"`
	Shadow  *Message `json:"shadow,omitempty"`

	Queued      time.Duration `json:"queued_ns"`             // from the primary's answer to the start of the copy
	Probability float64       `json:"probability,omitempty"` // with which requests like this one are copied; 0: unknown
}

// Diff is a difference in a Record: see shadow.Diff.
type Diff struct {
	Path    string          `json:"path"`
	Kind    string          `json:"kind"`
	Class   string          `json:"class,omitempty"`
	Primary json.RawMessage `json:"primary,omitempty"`
	Shadow  json.RawMessage `json:"shadow,omitempty"`
}

// Message is a request or an answer in a Record.
type Message struct {
	Method  string      `json:"method,omitempty"` // of a request
	URL     string      `json:"url,omitempty"`    // of a request
	Status  int         `json:"status,omitempty"` // of an answer
	Header  http.Header `json:"header,omitempty"` // where Options.Messages asks for it
	Trailer http.Header `json:"trailer,omitempty"`

	Body      []byte `json:"body,omitempty"` // in base64, where Options.Messages asks for it; decoded from its Content-Encoding
	Cut       bool   `json:"cut,omitempty"`  // Body is a prefix
	Size      int64  `json:"size"`           // bytes of content as transferred
	TTFB      int64  `json:"ttfb_ns,omitempty"`
	Took      int64  `json:"took_ns,omitempty"`
	Truncated bool   `json:"truncated,omitempty"` // the Mirror kept not all of the content
}

// record is what o keeps of r.
func (o *Options) record(r *shadow.Result) *Record {
	rec := &Record{
		Version: version, Time: r.Start, ID: r.ID, Mirror: r.Mirror, Target: r.Target, Route: r.Route,
		Outcome: string(r.Outcome), Diffs: diffs(r.Diffs), Noise: diffs(r.Noise), More: r.More,
		Request: o.message(r.Request), Primary: o.message(r.Primary), Shadow: o.message(r.Shadow),
		Queued: r.Queued, Probability: r.Probability,
	}
	if r.Err != nil {
		rec.Error = r.Err.Error()
	}
	return rec
}

func diffs(list []shadow.Diff) []Diff {
	var out []Diff
	for _, d := range list {
		out = append(out, Diff{Path: d.Path, Kind: string(d.Kind), Class: string(d.Class),
			Primary: d.Primary, Shadow: d.Shadow})
	}
	return out
}

func (o *Options) message(m *shadow.Message) *Message {
	if m == nil {
		return nil
	}
	out := &Message{Status: m.StatusCode, Size: m.Size, TTFB: int64(m.TTFB), Took: int64(m.Took), Truncated: m.Truncated}
	if m.StatusCode == 0 {
		out.Method = m.Method
	}
	if o.Messages == 0 {
		return out
	}
	if m.URL != nil {
		out.URL = m.URL.String()
	}
	out.Header, out.Trailer = m.Header, m.Trailer
	n := min(int64(len(m.Body)), o.Messages)
	out.Body, out.Cut = m.Body[:n], n < int64(len(m.Body))
	return out
}
