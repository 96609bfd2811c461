package main

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// newChi is the service on chi. Mirror.Handler is a chi middleware as it is.
func newChi(v version, middlewares ...func(http.Handler) http.Handler) http.Handler {
	router := chi.NewRouter()
	router.Use(middlewares...)
	answer := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body) //nolint:errcheck // the client has gone
	}
	router.Get("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		user, ok := v.user(chi.URLParam(r, "id"))
		if !ok {
			answer(w, http.StatusNotFound, map[string]string{"message": "no such user"})
			return
		}
		answer(w, http.StatusOK, user)
	})
	router.Post("/users", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			answer(w, http.StatusBadRequest, map[string]string{"message": "no JSON"})
			return
		}
		answer(w, http.StatusCreated, v.create(in.Name))
	})
	return router
}

// chiRoute is for shadow.WithRoute. It is called after the router has found the route
// and before it takes its context back. Without a name for the route the mirror makes
// one of the path.
func chiRoute(r *http.Request) string {
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	if pattern == "" {
		return ""
	}
	return r.Method + " " + pattern
}
