package main

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/goshadow/shadow"
)

// newGin is the service on gin. It answers unknown routes itself: gin's own answer to
// them is written when the middlewares are done, so that none of them can see it.
func newGin(v version, middlewares ...gin.HandlerFunc) http.Handler {
	router := gin.New()
	router.Use(middlewares...)
	router.NoRoute(func(c *gin.Context) { c.String(http.StatusNotFound, "no such page") })
	router.GET("/users/:id", func(c *gin.Context) {
		user, ok := v.user(c.Param("id"))
		if !ok {
			c.AbortWithStatusJSON(http.StatusNotFound, gin.H{"message": "no such user"})
			return
		}
		c.JSON(http.StatusOK, user)
	})
	router.POST("/users", func(c *gin.Context) {
		var in struct{ Name string }
		if err := c.BindJSON(&in); err != nil {
			return // with 400
		}
		c.JSON(http.StatusCreated, v.create(in.Name))
	})
	return router
}

// ginMiddleware makes m a gin middleware. The request is told gin's pattern of the
// route, which is where a Mirror looks for it.
func ginMiddleware(m *shadow.Mirror) gin.HandlerFunc {
	return func(c *gin.Context) {
		own := c.Writer
		defer func() { c.Writer = own }() // also for a Recovery around us
		if c.FullPath() != "" {
			c.Request.Pattern = c.Request.Method + " " + c.FullPath()
		}
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.Writer, c.Request = &ginWriter{own, w}, r
			c.Next()
			if !own.Written() {
				w.WriteHeader(own.Status()) // for the mirror: gin sends it later
			}
		})).ServeHTTP(own, c.Request)
	}
}

// ginWriter is gin's own writer, with the mirror's in front of it. Gin holds the status
// back until the first byte, and so must what the mirror sees.
type ginWriter struct {
	gin.ResponseWriter
	mirrored http.ResponseWriter // writes to the other one
}

func (w *ginWriter) WriteHeaderNow() {
	if !w.Written() {
		w.mirrored.WriteHeader(w.Status())
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *ginWriter) Write(p []byte) (int, error) {
	w.WriteHeaderNow()
	return w.mirrored.Write(p)
}

func (w *ginWriter) WriteString(s string) (int, error) {
	w.WriteHeaderNow()
	return io.WriteString(w.mirrored, s)
}

func (w *ginWriter) Flush() {
	w.WriteHeaderNow()
	w.mirrored.(http.Flusher).Flush()
}

func (w *ginWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.mirrored.(http.Hijacker).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *ginWriter) Unwrap() http.ResponseWriter { return w.mirrored }
