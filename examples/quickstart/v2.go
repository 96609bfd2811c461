package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// v2 is the rewrite that is to replace v1: the candidate. Its tests pass. It has
// seven regressions all the same, each of a kind that reviews let through; they
// are numbered below, and the quickstart finds them all.
type v2 struct {
	v1 // the routes that were not touched: search, countries, feedback
}

func newV2(s *store) http.Handler {
	v := v2{v1{s}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /airports", v.list)
	mux.HandleFunc("GET /airports/{code}", v.airport)
	mux.HandleFunc("GET /airports/{code}/nearby", v.nearby)
	mux.HandleFunc("GET /search", v.search)
	mux.HandleFunc("GET /distance/{from}/{to}", v.distance)
	mux.HandleFunc("GET /countries", v.countries)
	mux.HandleFunc("GET /countries/{code}", v.country)
	mux.HandleFunc("POST /feedback", v.feedback)
	return mux
}

type v2Airport struct {
	Code      string  `json:"code"`
	Name      string  `json:"name"`
	City      string  `json:"city"`
	Country   string  `json:"country"`
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Elevation int     `json:"elevation_ft"`
}

func (v v2) airport(w http.ResponseWriter, r *http.Request) {
	a, ok := v.store.airport(r.PathValue("code"))
	if !ok {
		// 1. An unknown airport is the caller's mistake now: 400, it was 404.
		writeError(w, http.StatusBadRequest, "no such airport")
		return
	}
	answer := v2Airport{
		Code:    a.Code,
		Name:    a.Name,
		City:    a.City,
		Country: a.Country,
		// 2. Two decimals look nicer. They can be 800 metres off.
		Latitude:  roundTo(a.Latitude, 2),
		Longitude: roundTo(a.Longitude, 2),
	}
	// 3. An unknown elevation becomes sea level: it was null.
	if a.Elevation != nil {
		answer.Elevation = *a.Elevation
	}
	writeJSON(w, r, answer)
}

// 4. The member "city" is called "municipality" here.
type v2ListItem struct {
	Code         string `json:"code"`
	Name         string `json:"name"`
	Municipality string `json:"municipality"`
}

type v2List struct {
	GeneratedAt string       `json:"generated_at"`
	Total       int          `json:"total"`
	Airports    []v2ListItem `json:"airports"`
}

func (v v2) list(w http.ResponseWriter, r *http.Request) {
	found := v.store.airportsIn(r.FormValue("country"))
	list := v2List{GeneratedAt: now(), Total: len(found), Airports: []v2ListItem{}}
	for _, a := range page(r, found) {
		list.Airports = append(list.Airports, v2ListItem{Code: a.Code, Name: a.Name, Municipality: a.City})
	}
	writeJSON(w, r, list)
}

func (v v2) nearby(w http.ResponseWriter, r *http.Request) {
	origin, ok := v.store.airport(r.PathValue("code"))
	if !ok {
		writeError(w, http.StatusNotFound, "no such airport")
		return
	}
	answer := neighbours{Origin: origin.Code}
	for _, near := range v.store.nearest(origin, 10) {
		// 5. One query for each neighbour: the answer is right, and slow.
		a, _ := v.store.airport(near.Code)
		answer.Airports = append(answer.Airports, neighbour{a.Code, a.Name, roundTo(kilometres(origin, a), 1)})
	}
	writeJSON(w, r, answer)
}

type v2Distance struct {
	From string `json:"from"`
	To   string `json:"to"`
	Km   string `json:"km"` // 6. A number sent as a string.
}

func (v v2) distance(w http.ResponseWriter, r *http.Request) {
	from, okFrom := v.store.airport(r.PathValue("from"))
	to, okTo := v.store.airport(r.PathValue("to"))
	if !okFrom || !okTo {
		writeError(w, http.StatusNotFound, "no such airport")
		return
	}
	writeJSON(w, r, v2Distance{from.Code, to.Code, fmt.Sprintf("%.1f", kilometres(from, to))})
}

func (v v2) country(w http.ResponseWriter, r *http.Request) {
	c, ok := v.store.country(r.PathValue("code"))
	if !ok {
		writeError(w, http.StatusNotFound, "no such country")
		return
	}
	// 7. The airports come in order of their names: they came in order of their codes.
	found := v.store.airportsIn(c.Code)
	slices.SortFunc(found, func(a, b airport) int { return strings.Compare(a.Name, b.Name) })
	detail := countryDetail{countryItem: countryItem(c)}
	for _, a := range found {
		detail.Airports = append(detail.Airports, a.Code)
	}
	writeJSON(w, r, detail)
}
