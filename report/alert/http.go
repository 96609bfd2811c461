package alert

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// ServeHTTP is where people see the alerts and say what they were worth, and where other
// programs do it for them. Mount it below a prefix with http.StripPrefix, and behind what
// keeps strangers out: it tells the names of routes.
//
//	GET  /alerts.json  Alerts
//	POST /ack          Ack, by the parameters fingerprint and actionable, of the URL or a form
//
// The latter is 204 if it was done, 400 for parameters that are none, 404 for an alert that
// people were not told of (ErrUnknown), and 403 for a page of another origin.
func (r *Reporter) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch req.URL.Path {
	case "/alerts.json":
		r.list(w, req)
	case "/ack":
		http.NewCrossOriginProtection().Handler(http.HandlerFunc(r.ack)).ServeHTTP(w, req)
	default:
		http.Error(w, "alert: there are /alerts.json and /ack", http.StatusNotFound)
	}
}

func (r *Reporter) list(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "alert: only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.Alerts()) // an error is the client's, who is gone
}

func (r *Reporter) ack(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "alert: only POST", http.StatusMethodNotAllowed)
		return
	}
	const most = 4 << 10 // bytes of a form
	req.Body = http.MaxBytesReader(w, req.Body, most)
	actionable, err := strconv.ParseBool(req.FormValue("actionable"))
	if err != nil {
		http.Error(w, "alert: the parameter actionable has to be true or false", http.StatusBadRequest)
		return
	}
	switch err := r.Ack(req.FormValue("fingerprint"), actionable); {
	case errors.Is(err, ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
