package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// plot is a picture of the first table of a part: a group of bars for each row.
type plot struct {
	file    string
	title   string
	columns []string // a bar of each; nil is all but the first
	limit   float64  // where a line is drawn; 0 is nowhere
	log     bool     // the scale is logarithmic
}

// Sizes in pixels.
const (
	width  = 860
	labels = 310 // where bars begin
	bars   = 450 // of the longest one
	thick  = 13
	gap    = 9
	top    = 64
)

var colours = []string{"#3b6fb6", "#e0923a", "#5a9e6f"}

func (p plot) draw(tables []*measure.Table) (string, error) {
	if len(tables) == 0 {
		return "", fmt.Errorf("no table to draw")
	}
	table := tables[0]
	columns := p.columns
	if columns == nil {
		columns = table.Columns[1:]
	}
	var at []int
	for _, name := range columns {
		i := slices.Index(table.Columns, name)
		if i < 0 {
			return "", fmt.Errorf("no column %q to draw", name)
		}
		at = append(at, i)
	}
	scale, err := p.scale(table, at)
	if err != nil {
		return "", err
	}

	height := top + len(table.Rows())*(len(at)*thick+gap) + 34
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", html.EscapeString(p.title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="16" y="24" font-size="14" font-weight="bold" fill="#222222">%s</text>`+"\n", html.EscapeString(p.title))
	for i, x := 0, 16; i < len(columns); i++ {
		fmt.Fprintf(&b, `<rect x="%d" y="38" width="11" height="11" fill="%s"/>`, x, colours[i%len(colours)])
		fmt.Fprintf(&b, `<text x="%d" y="48" fill="#444444">%s</text>`+"\n", x+16, html.EscapeString(columns[i]))
		x += 36 + 7*utf8.RuneCountInString(columns[i])
	}
	bottom := height - 34
	if p.limit > 0 {
		x := labels + scale.length(p.limit)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#b03030" stroke-dasharray="4 3"/>`, x, top-6, x, bottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" font-size="11" fill="#b03030">%v</text>`+"\n", x, bottom+12, p.limit)
	}
	y := top
	for _, row := range table.Rows() {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#222222">%s</text>`+"\n",
			labels-8, y+len(at)*thick/2+4, html.EscapeString(row[0]))
		for i, column := range at {
			v, _ := strconv.ParseFloat(row[column], 64) // scale has read it
			length := scale.length(v)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labels, y, length, thick-2, colours[i%len(colours)])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="11" fill="#444444" stroke="#ffffff" stroke-width="3" paint-order="stroke">%s</text>`+"\n", labels+length+5, y+thick-3, html.EscapeString(row[column]))
			y += thick
		}
		y += gap
	}
	note := "linear scale"
	if p.log {
		note = "logarithmic scale"
	}
	fmt.Fprintf(&b, `<text x="16" y="%d" font-size="11" fill="#777777">%s</text>`+"\n</svg>\n", height-10, note)
	return b.String(), nil
}

// axis gives values their lengths in pixels.
type axis struct {
	least, most float64
	log         bool
}

// scale returns an axis for the values in the columns at.
func (p plot) scale(table *measure.Table, at []int) (axis, error) {
	a := axis{least: math.Inf(1), most: p.limit, log: p.log}
	for _, row := range table.Rows() {
		for _, i := range at {
			v, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				return a, fmt.Errorf("%s: %w", row[0], err)
			}
			if a.most = max(a.most, v); v > 0 {
				a.least = min(a.least, v)
			}
		}
	}
	return a, nil
}

// length is 0 for what is 0, and never less than a pixel for anything more.
func (a axis) length(v float64) float64 {
	switch {
	case v <= 0 || a.most <= 0:
		return 0
	case !a.log:
		return max(1, bars*v/a.most)
	}
	from := math.Log(min(a.least, a.most) / 2)
	return max(1, bars*(math.Log(v)-from)/(math.Log(a.most)-from))
}
