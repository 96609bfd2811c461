package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/goshadow/shadow"
)

// newEcho is the service on echo.
func newEcho(v version, middlewares ...echo.MiddlewareFunc) http.Handler {
	router := echo.New()
	router.Use(middlewares...)
	router.GET("/users/:id", func(c echo.Context) error {
		user, ok := v.user(c.Param("id"))
		if !ok {
			return echo.NewHTTPError(http.StatusNotFound, "no such user")
		}
		return c.JSON(http.StatusOK, user)
	})
	router.POST("/users", func(c echo.Context) error {
		var in struct{ Name string }
		if err := c.Bind(&in); err != nil {
			return err
		}
		return c.JSON(http.StatusCreated, v.create(in.Name))
	})
	return router
}

// echoMiddleware makes m an echo middleware. With echo.WrapMiddleware(m.Handler) the
// mirror would not see the answers that echo makes of errors: it makes them when the
// middlewares are done. Here they are made inside the mirror; the error goes on to the
// middlewares around it, as it does from echo's own Logger.
//
// The request is told echo's pattern of the route, which is where a Mirror looks for it.
func echoMiddleware(m *shadow.Mirror) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			own := c.Response()
			defer func() { c.SetResponse(own) }() // also for a Recover around us
			if c.Path() != "" {
				c.Request().Pattern = c.Request().Method + " " + c.Path()
			}
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.SetRequest(r)
				c.SetResponse(echo.NewResponse(w, c.Echo()))
				if err = next(c); err != nil {
					c.Error(err)
				}
			})).ServeHTTP(own, c.Request())
			return err
		}
	}
}
