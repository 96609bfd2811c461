// Package media knows what the body of a message is, from its Content-Type, and how such
// a body is cut into pieces. What compares bodies and what masks them both cut here, so
// that neither sees what the other does not.
package media

import (
	"mime"
	"strings"
)

// Kind is how a body is read.
type Kind uint8

// Kinds of bodies, those with more structure last.
const (
	Bytes     Kind = iota // anything else
	Lines                 // text that people read by the line
	XML                   // one XML document
	Form                  // application/x-www-form-urlencoded
	Multipart             // parts with headers of their own (RFC 2046 section 5.1)
	Events                // server-sent events
	Records               // JSON texts on lines of their own (NDJSON), or after RS (RFC 7464)
	JSON                  // one JSON text
)

// Format is what a Content-Type says about a body. The zero value is that of a body of
// which nothing is known.
type Format struct {
	Kind     Kind
	Type     string // the media type, in lower case, without parameters
	Charset  string // in lower case; UnknownCharset where it cannot be read
	Boundary string // of Multipart; empty where it has none that is valid
	Named    bool   // multipart/form-data: its parts have names
}

// textTypes are media types outside text/ whose bodies people read by the line.
var textTypes = map[string]bool{
	"application/ecmascript":   true,
	"application/graphql":      true,
	"application/javascript":   true,
	"application/sql":          true,
	"application/toml":         true,
	"application/x-javascript": true,
	"application/x-sh":         true,
	"application/x-yaml":       true,
	"application/yaml":         true,
}

const (
	maxBoundary = 70 // bytes: RFC 2046 section 5.1.1

	// UnknownCharset stands for a charset that is named, but not so that it can be read.
	UnknownCharset = "?"

	// MaxField is how many bytes of a header field are looked at.
	MaxField = 4 << 10
	// MaxNesting is how many levels of multipart in multipart are read.
	MaxNesting = 8
)

// Of reads a Content-Type field value.
func Of(contentType string) Format {
	t, params, _ := strings.Cut(contentType, ";")
	f := Format{Type: strings.ToLower(strings.TrimSpace(t))}
	if len(f.Type) > MaxField {
		f.Type = ""
	}
	f.Kind = kindOf(f.Type)
	if params == "" {
		return f
	}
	_, values, err := mime.ParseMediaType(contentType)
	if err != nil || len(contentType) > MaxField {
		if strings.Contains(strings.ToLower(params), "charset") {
			f.Charset = UnknownCharset
		}
		return f
	}
	f.Charset = strings.ToLower(values["charset"])
	if f.Kind == Multipart && len(values["boundary"]) <= maxBoundary {
		f.Boundary = values["boundary"]
		f.Named = f.Type == "multipart/form-data"
	}
	return f
}

func kindOf(t string) Kind {
	switch t {
	case "application/json", "text/json", "application/x-json", "text/x-json",
		"application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/csp-report", "application/geojson",
		"application/json+oembed", "application/json-rpc", "application/jsonrequest":
		return JSON
	case "application/x-ndjson", "application/ndjson", "text/x-ndjson", "text/ndjson",
		"application/jsonl", "application/x-jsonl", "text/jsonl", "application/jsonlines", "application/x-jsonlines",
		"application/json-lines", "application/x-json-stream", "application/json-stream", "application/stream+json",
		"application/ldjson", "application/x-ldjson", "application/json-seq":
		return Records
	case "text/event-stream":
		return Events
	case "application/x-www-form-urlencoded":
		return Form
	case "application/xml", "text/xml":
		return XML
	}
	switch {
	case strings.HasSuffix(t, "+json-seq"), strings.HasSuffix(t, "+ndjson"), strings.HasSuffix(t, "+x-ndjson"), strings.HasSuffix(t, "+jsonl"):
		return Records
	case strings.HasSuffix(t, "+json"):
		return JSON
	case strings.HasSuffix(t, "+xml"):
		return XML
	case strings.HasPrefix(t, "multipart/"):
		return Multipart
	case strings.HasPrefix(t, "text/"), textTypes[t]:
		return Lines
	}
	return Bytes
}
