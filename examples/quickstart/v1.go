package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"time"
)

// v1 is the service as it runs today: it answers the callers.
type v1 struct{ store *store }

func newV1(s *store) http.Handler {
	v := v1{s}
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

type v1Airport struct {
	Code      string  `json:"code"`
	Name      string  `json:"name"`
	City      string  `json:"city"`
	Country   string  `json:"country"`
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Elevation *int    `json:"elevation_ft"`
}

func (v v1) airport(w http.ResponseWriter, r *http.Request) {
	a, ok := v.store.airport(r.PathValue("code"))
	if !ok {
		writeError(w, http.StatusNotFound, "no such airport")
		return
	}
	writeJSON(w, r, v1Airport(a))
}

type v1ListItem struct {
	Code string `json:"code"`
	Name string `json:"name"`
	City string `json:"city"`
}

type v1List struct {
	GeneratedAt string       `json:"generated_at"`
	Total       int          `json:"total"`
	Airports    []v1ListItem `json:"airports"`
}

func (v v1) list(w http.ResponseWriter, r *http.Request) {
	found := v.store.airportsIn(r.FormValue("country"))
	list := v1List{GeneratedAt: now(), Total: len(found), Airports: []v1ListItem{}}
	for _, a := range page(r, found) {
		list.Airports = append(list.Airports, v1ListItem{Code: a.Code, Name: a.Name, City: a.City})
	}
	writeJSON(w, r, list)
}

type neighbour struct {
	Code string  `json:"code"`
	Name string  `json:"name"`
	Km   float64 `json:"km"`
}

type neighbours struct {
	Origin   string      `json:"origin"`
	Airports []neighbour `json:"airports"`
}

func (v v1) nearby(w http.ResponseWriter, r *http.Request) {
	origin, ok := v.store.airport(r.PathValue("code"))
	if !ok {
		writeError(w, http.StatusNotFound, "no such airport")
		return
	}
	answer := neighbours{Origin: origin.Code}
	for _, a := range v.store.nearest(origin, 10) {
		answer.Airports = append(answer.Airports, neighbour{a.Code, a.Name, roundTo(kilometres(origin, a), 1)})
	}
	writeJSON(w, r, answer)
}

type hit struct {
	Code    string `json:"code"`
	Name    string `json:"name"`
	Country string `json:"country"`
}

type hits struct {
	Query string `json:"query"`
	Total int    `json:"total"`
	Hits  []hit  `json:"hits"`
}

func (v v1) search(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("q")
	if query == "" {
		writeError(w, http.StatusBadRequest, "q is empty")
		return
	}
	found := v.store.search(query)
	answer := hits{Query: query, Total: len(found), Hits: []hit{}}
	for _, a := range page(r, found) {
		answer.Hits = append(answer.Hits, hit{a.Code, a.Name, a.Country})
	}
	writeJSON(w, r, answer)
}

type v1Distance struct {
	From string  `json:"from"`
	To   string  `json:"to"`
	Km   float64 `json:"km"`
}

func (v v1) distance(w http.ResponseWriter, r *http.Request) {
	from, okFrom := v.store.airport(r.PathValue("from"))
	to, okTo := v.store.airport(r.PathValue("to"))
	if !okFrom || !okTo {
		writeError(w, http.StatusNotFound, "no such airport")
		return
	}
	writeJSON(w, r, v1Distance{from.Code, to.Code, roundTo(kilometres(from, to), 1)})
}

type countryItem struct {
	Code      string `json:"code"`
	Name      string `json:"name"`
	Continent string `json:"continent"`
}

type countryList struct {
	GeneratedAt string        `json:"generated_at"`
	Countries   []countryItem `json:"countries"`
}

func (v v1) countries(w http.ResponseWriter, r *http.Request) {
	list := countryList{GeneratedAt: now()}
	for _, c := range v.store.allCountries() {
		list.Countries = append(list.Countries, countryItem(c))
	}
	writeJSON(w, r, list)
}

type countryDetail struct {
	countryItem
	Airports []string `json:"airports"`
}

func (v v1) country(w http.ResponseWriter, r *http.Request) {
	c, ok := v.store.country(r.PathValue("code"))
	if !ok {
		writeError(w, http.StatusNotFound, "no such country")
		return
	}
	detail := countryDetail{countryItem: countryItem(c)}
	for _, a := range v.store.airportsIn(c.Code) {
		detail.Airports = append(detail.Airports, a.Code)
	}
	writeJSON(w, r, detail)
}

func (v v1) feedback(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 4<<10)); err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, "too long")
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// The helpers below serve both versions.

// page cuts out what the query asks for with limit (20 by default, at most 50) and offset.
func page(r *http.Request, found []airport) []airport {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 {
		limit = 20
	}
	offset, _ := strconv.Atoi(r.FormValue("offset")) // what is not a number counts as 0
	found = found[min(max(offset, 0), len(found)):]
	return found[:min(limit, 50, len(found))]
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// writeJSON answers 200, or 304 to a caller who has the same bytes already.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", fmt.Sprintf(`"%08x"`, crc32.ChecksumIEEE(body)))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q}\n", message)
}
