package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// document is what the cases are made of.
type document struct {
	name  string
	text  []byte
	array string // a member of the root that is an array of objects, "" if there is none
	noisy string // a scalar member of its elements
}

// documents returns payloads as APIs answer with, and the three documents that JSON
// libraries are commonly measured with.
func documents() ([]document, error) {
	small := bytes.Replace(payload(1), []byte(`"total"`),
		[]byte(`"next":"/v1/items?page=2&size=1","previous":null,"took_ms":12.5,"total"`), 1)
	all := []document{
		{"300 B", small, "items", "updated_at"},
		{"1 KB", payload(5), "items", "updated_at"},
		{"10 KB", payload(50), "items", "updated_at"},
		{"twitter", nil, "statuses", "created_at"},
		{"citm", nil, "performances", "id"},
		{"canada", nil, "", ""},
	}
	for i, file := range map[int]string{3: "twitter_status", 4: "citm_catalog", 5: "canada_geometry"} {
		text, err := shipped(file)
		if err != nil {
			return nil, err
		}
		all[i].text = text
	}
	return all, nil
}

// payload makes an answer of an API with n items, compact.
func payload(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"page":1,"total":%d,"items":[`, n)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"Item number %d","price":%d.%02d,"tags":["new","sale"],`+
			`"owner":{"id":"u-%d","email":"someone%d@example.com"},"updated_at":"2024-05-06T07:08:%02dZ","active":true}`,
			1234567890123+i, i, i%100, i%97, i*7, i, i%60)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// source is the module that ships the documents, among its own test data.
const source = "github.com/go-json-experiment/json"

func shipped(name string) ([]byte, error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", source).Output()
	if err != nil {
		return nil, fmt.Errorf("looking for %s (run this in the module's folder): %w", source, err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "internal/jsontest/_embed", name+".json.zst"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}

// layOut lays text out as d is: compact, or indented.
func (d *document) layOut(text []byte) []byte {
	_, second, indented := bytes.Cut(bytes.TrimSpace(d.text), []byte("\n"))
	if !indented {
		return text
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", string(second[:bytes.IndexByte(second, '"')])); err != nil {
		panic(err) // text was written by node.write
	}
	return out.Bytes()
}

// otherLayout lays text out as d is not.
func (d *document) otherLayout(text []byte) []byte {
	if bytes.ContainsRune(bytes.TrimSpace(d.text), '\n') {
		return text
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		panic(err) // text was written by node.write
	}
	return out.Bytes()
}
