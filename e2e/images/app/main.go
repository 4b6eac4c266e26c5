// app is what the scenarios and the demo roll out.
//
// Every answer on the traffic port is signed, so that whoever measures knows which pod of which version gave it, and knows
// an answer of anything else (a router's 404, a proxy's 502) by the missing signature. What goes wrong with it is set by the
// environment at start and can be switched at run time on the admin port, which no Service names.
//
//	traffic :8080   /healthz  alive      /readyz  ready      anything else: a signed answer
//	admin   :8081   GET /state           POST /set?error_rate=0.2&latency_ms=300&ready=false           POST /crash
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// behaviour is what can be switched at run time.
type behaviour struct {
	// Share of requests that are answered 500, 0 to 1.
	ErrorRate float64 `json:"error_rate"`
	// Milliseconds that each answer waits.
	LatencyMS float64 `json:"latency_ms"`
	// What /readyz says, once READY_DELAY is over.
	Ready bool `json:"ready"`
}

type app struct {
	version, pod string
	key          []byte
	started      time.Time
	readyDelay   time.Duration

	mu  sync.RWMutex
	now behaviour
}

func (a *app) behaviour() behaviour {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.now
}

// sign proves that this pod gave this status to the request with this nonce. Fields are parted by newlines, which none of
// them can hold.
func (a *app) sign(nonce string, status int) string {
	mac := hmac.New(sha256.New, a.key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%d", a.pod, a.version, nonce, status)
	return hex.EncodeToString(mac.Sum(nil))
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Tidegate-Pod", a.pod)
	h.Set("X-Tidegate-Version", a.version)
	h.Set("X-Tidegate-Signature", a.sign(r.Header.Get("X-Tidegate-Nonce"), status))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintln(w, text)
	}
}

func (a *app) traffic() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, http.StatusOK, "alive")
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if wait := a.readyDelay - time.Since(a.started); wait > 0 {
			a.answer(w, r, http.StatusServiceUnavailable, fmt.Sprintf("ready in %s", wait.Round(time.Second)))
		} else if !a.behaviour().Ready {
			a.answer(w, r, http.StatusServiceUnavailable, "switched to not ready")
		} else {
			a.answer(w, r, http.StatusOK, "ready")
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		now := a.behaviour()
		if now.LatencyMS > 0 {
			select {
			case <-time.After(time.Duration(now.LatencyMS * float64(time.Millisecond))):
			case <-r.Context().Done():
				return
			}
		}
		if rand.Float64() < now.ErrorRate {
			a.answer(w, r, http.StatusInternalServerError, fmt.Sprintf("version %s on %s fails, as it was told to", a.version, a.pod))
			return
		}
		a.answer(w, r, http.StatusOK, fmt.Sprintf("version %s on %s", a.version, a.pod))
	})
	return mux
}

func (a *app) admin() http.Handler {
	mux := http.NewServeMux()
	state := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a.behaviour())
	}
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { state(w) })
	mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		next := a.now
		err := next.set(r.URL.Query())
		if err == nil {
			a.now = next
		}
		a.mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		log.Printf("now %+v", next)
		state(w)
	})
	mux.HandleFunc("POST /crash", func(_ http.ResponseWriter, _ *http.Request) {
		log.Println("crashing, as it was told to")
		os.Exit(3)
	})
	return mux
}

// set takes all of the query or nothing.
func (b *behaviour) set(query map[string][]string) error {
	for name, values := range query {
		value := values[len(values)-1]
		var err error
		switch name {
		case "error_rate":
			b.ErrorRate, err = number(value, 0, 1)
		case "latency_ms":
			b.LatencyMS, err = number(value, 0, 60_000)
		case "ready":
			b.Ready, err = strconv.ParseBool(value)
		default:
			err = errors.New("not one of error_rate, latency_ms, ready")
		}
		if err != nil {
			return fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	return nil
}

func number(text string, low, high float64) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if !(v >= low && v <= high) {
		return 0, fmt.Errorf("wanted a number from %g to %g", low, high)
	}
	return v, nil
}

// setting reads one variable of the environment; a wrong one ends the process, so that it is seen.
func setting(name string, fallback, high float64) float64 {
	text, found := os.LookupEnv(name)
	if !found || text == "" {
		return fallback
	}
	v, err := number(text, 0, high)
	if err != nil {
		log.Fatalf("%s=%s: %v", name, text, err)
	}
	return v
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	pod, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	a := &app{
		version: os.Getenv("VERSION"), pod: pod, key: []byte(os.Getenv("SIGNING_KEY")), started: time.Now(),
		readyDelay: seconds(setting("READY_DELAY", 0, 3600)),
		now: behaviour{
			ErrorRate: setting("ERROR_RATE", 0, 1),
			LatencyMS: setting("LATENCY_MS", 0, 60_000),
			Ready:     os.Getenv("READY") != "false",
		},
	}
	drain := seconds(setting("DRAIN", 3, 600))
	if after := setting("CRASH_AFTER", 0, 86_400); after > 0 {
		time.AfterFunc(seconds(after), func() {
			log.Println("crashing, as CRASH_AFTER says")
			os.Exit(3)
		})
	}

	servers := []*http.Server{
		{Addr: ":8080", Handler: a.traffic(), ReadHeaderTimeout: 10 * time.Second},
		{Addr: ":8081", Handler: a.admin(), ReadHeaderTimeout: 10 * time.Second},
	}
	for _, s := range servers {
		go func() {
			if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				log.Fatal(err)
			}
		}()
	}
	log.Printf("version %s on %s serves: %+v", a.version, a.pod, a.now)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// Routers learn late that this pod goes away: go on answering until they have.
	log.Printf("%s: serving on for %s", <-stop, drain)
	time.Sleep(drain)
	deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, s := range servers {
		if err := s.Shutdown(deadline); err != nil {
			log.Println("shutdown:", err)
		}
	}
	log.Println("drained")
}
