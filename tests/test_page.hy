"The HTML page: nothing of a prompt is taken for markup, and in a browser it does what it says."

(import  html.parser [HTMLParser]
         json
         os
         re
         shutil
         pytest
         torch
         subjects [all-kinds ODD small]
         nanogpt-hy.lab.filters [filtered-probabilities]
         nanogpt-hy.lab.inside.outlook [next-characters]
         nanogpt-hy.lab.pictures.page [number numbers-of page-of picture printable svg-of])

(defn [(pytest.fixture :scope "module")] folder [tmp-path-factory]
  (.mktemp tmp-path-factory "pages"))

(defn [(pytest.fixture :scope "module")] kinds [folder]
  (lfor  [i data] (enumerate (all-kinds folder))  :if (not-in i [5 8])  data))    ; one of each kind

(defn [(pytest.fixture :scope "module")] page [kinds]
  (page-of kinds :title f"Inside {ODD}" :about ODD :missing [ODD]))

(defclass Reader [HTMLParser]
  "Every tag with its attributes, and the texts in scripts."
  (defn __init__ [self text]
    (.__init__ (super))
    (setv self.tags [] self.scripts [])
    (.feed self text)
    (.close self))
  (defn handle-starttag [self tag attributes]
    (.append self.tags #(tag (dict attributes)))
    (when (= tag "script") (.append self.scripts "")))
  (defn handle-data [self text]
    (when (and self.tags (= "script" (get self.tags -1 0)))
      (setv (get self.scripts -1) (+ (get self.scripts -1) text)))))

(defn named [page tag]
  (lfor  [name attributes] (. (Reader page) tags)  :if (= name tag)  attributes))

;;; The text of the page

(defn test-no-text-becomes-markup [page]
  (assert (= (len (named page "script")) 2))
  (assert (= (named page "b") []))
  (assert (not-in "\x1b" page)))

(defn test-the-data-come-back-as-they-went-in [page kinds]
  (setv data (json.loads (get (. (Reader page) scripts) 0)))
  (assert (= (get data "attention" "tokens") (get kinds 0 "tokens")))
  (assert (= (get data "next" "tokens") (get kinds 1 "tokens")))
  (assert (in "<" (get data "next" "tokens")))
  (assert (in "\\x1b" (get data "next" "tokens"))))

(defn test-nothing-is-loaded-from-elsewhere [page]
  (for [[tag attributes] (. (Reader page) tags)
        [name value] (.items attributes)]
    (when (in name ["src" "href" "xlink:href" "action" "data"])
      (assert (.startswith value #("#" "data:")) value)))
  (assert (not (re.search r"@import|fetch\(|XMLHttpRequest|import\(" page)))
  (assert (in "default-src 'none'" page)))

(defn test-ids-are-there-once [page]
  (setv ids (lfor  [_ attributes] (. (Reader page) tags)  :if (in "id" attributes)
                   (get attributes "id")))
  (assert (= (len ids) (len (set ids)))))

(defn test-every-control-has-a-name [page]
  (setv labelled (re.findall r"(?s)<label[^>]*>.*?<(?:select|input) id=\"([^\"]+)\"" page))
  (assert (= (set labelled) #{"layer" "head" "place" "temperature" "top-k" "top-p"}))
  (assert (all (gfor  th (named page "th")  (in (get th "scope") ["row" "col"]))))
  (assert (= (.count page "aria-live=\"polite\"") 2)))

(defn test-a-page-of-a-model-that-does-not-talk []
  (setv page (page-of [(next-characters (small "bigram") "ab")] :missing ["Not shown: attention."]))
  (assert (= (named page "fieldset") [{"class" "controls"}]))
  (assert (in "Not shown: attention." page)))

;;; In a browser

(defn find-browser []
  "-> paths of Chromium and its driver."
  (setv browser (or (shutil.which "chromium") (shutil.which "google-chrome"))
        driver (shutil.which "chromedriver"))
  (when (not (and browser driver))
    (setv why "needs Chromium and its driver: apt-get install chromium chromium-driver")
    (if (.get os.environ "CI") (pytest.fail why) (pytest.skip why)))
  [browser driver])

(defn [(pytest.fixture :scope "module")] chromium [tmp-path-factory]
  (import selenium [webdriver]
          selenium.webdriver.chrome.service [Service])
  (setv [browser driver] (find-browser)
        options (webdriver.ChromeOptions)
        options.binary-location browser)
  (for [argument ["--headless=new" "--no-sandbox" "--disable-dev-shm-usage" "--window-size=1000,900"
                  f"--user-data-dir={(.mktemp tmp-path-factory "profile")}"]]
    (.add-argument options argument))
  (.set-capability options "goog:loggingPrefs" {"browser" "ALL"})
  (setv shown (webdriver.Chrome :options options :service (Service driver)))
  (yield shown)
  (.quit shown))

(defn [(pytest.fixture :scope "module")] open-page [chromium folder page]
  (setv path (/ folder "page.html"))
  (.write-text path page :encoding "utf-8")
  (.get chromium (.as-uri path))
  chromium)

(defn js [driver code #* arguments]
  (.execute-script driver f"return ({code})" #* arguments))

(defn choose [driver id value]
  "Set a control, as a person's hand would: the page hears of it."
  (.execute-script driver
    (+ "const c = document.getElementById(arguments[0]); c.value = arguments[1];"
       "c.dispatchEvent(new Event('input')); c.dispatchEvent(new Event('change'));")
    id (str value)))

(defn text-of [driver id]
  (js driver "document.getElementById(arguments[0]).textContent" id))

(defn test-no-errors-in-the-console [open-page]
  (assert (= (.get-log open-page "browser") []))
  (assert (in "</script>" (. open-page title))))

(defn test-layer-and-head-are-chosen [open-page kinds]
  (setv layers (get kinds 0 "layers"))
  (for [i [0 1]  j [0 1]]
    (choose open-page "layer" i)
    (choose open-page "head" j)
    (setv shown (js open-page (+ "[...document.querySelectorAll('#weights tbody tr')].map("
                                 "r => [...r.querySelectorAll('td')].map(c => +c.dataset.weight))"))
          wanted (get layers i "heads" j "weights"))
    (torch.testing.assert-close (torch.tensor shown) (torch.tensor wanted) :atol 1e-5 :rtol 0))
  (assert (= (js open-page (+ "[...document.querySelectorAll('#weights thead th')].map("
                              "c => c.textContent)"))
             (get kinds 0 "tokens"))))

(defn test-a-cell-tells-its-weight [open-page kinds]
  (import selenium.webdriver [ActionChains Keys])
  (choose open-page "layer" 0)
  (choose open-page "head" 0)
  (setv weights (get kinds 0 "layers" 0 "heads" 0 "weights")
        cell (fn [i j] (.find-element open-page "css selector"
                         f"td[data-row='{i}'][data-column='{j}']"))
        said (fn [] (text-of open-page "weight"))
        told (fn [] (float (get (.split (said)) -1))))
  (.perform (.move-to-element (ActionChains open-page) (cell 3 1)))
  (assert (< (abs (- (told) (get weights 3 1))) 1e-4))
  (assert (in "(token 4) looks at" (said)))
  (.execute-script open-page "arguments[0].focus()" (cell 0 0))
  (for [key [Keys.ARROW-DOWN Keys.ARROW-DOWN Keys.ARROW-RIGHT]]
    (.perform (.send-keys (ActionChains open-page) key)))
  (assert (< (abs (- (told) (get weights 2 1))) 1e-4))
  (.perform (.send-keys (ActionChains open-page) Keys.ARROW-UP Keys.ARROW-RIGHT))
  (assert (in "cannot look" (said)))
  (assert (= 1 (js open-page "document.querySelectorAll('#weights td[tabindex=\"0\"]').length"))))

(defn test-sliders-move-the-bars [open-page kinds]
  (setv V (len (get kinds 1 "tokens"))
        bars (fn [] (js open-page (+ "[...document.querySelectorAll('#bars tbody tr')].map(r => "
                                     "r.querySelectorAll('td')[0].textContent)"))))
  (choose open-page "temperature" 0)
  (assert (= (sorted (bars)) (sorted ["100.0" #* (* ["cut"] (- V 1))])))
  (choose open-page "temperature" 1)
  (choose open-page "top-k" 2)
  (assert (= (.count (bars) "cut") (- V 2)))
  (assert (in f"2 of {V} tokens" (text-of open-page "left")))
  (.click (.find-element open-page "id" "reset"))
  (assert (not-in "cut" (bars)))
  (choose open-page "top-p" 0.01)
  (assert (= (.count (bars) "cut") (- V 1)))
  (setv before (bars))
  (choose open-page "place" 0)
  (choose open-page "top-p" 1)
  (assert (!= before (bars))))

(defn test-the-page-and-the-sampler-agree [open-page]
  (setv draws (.manual-seed (torch.Generator) 0)
        compared 0)
  (for [V [1 2 7 40]
        [t k p] [#(1 0 1) #(0 0 1) #(0.3 0 1) #(2 3 1) #(1 1 1) #(1 0 0.5) #(0.7 5 0.9) #(1 99 0.01)
                 #(1.5 0 0.999)]]
    (setv logits (* 3 (torch.randn V :generator draws))
          logits (if (= V 7) (.round logits) logits)                  ; some are equal
          theirs (js open-page "nextProbabilities(...arguments[0])" [(.tolist logits) t k p])
          ours (filtered-probabilities logits :temperature t :top-k k :top-p p))
    (torch.testing.assert-close (torch.tensor theirs :dtype torch.float32) ours
                                :atol 1e-6 :rtol 1e-4)
    (setv compared (+ compared 1)))
  (assert (= compared 36)))

(defn test-light-and-dark [open-page]
  (setv colours [])
  (for [scheme ["light" "dark"]]
    (.execute-cdp-cmd open-page "Emulation.setEmulatedMedia"
      {"features" [{"name" "prefers-color-scheme"  "value" scheme}]})
    (.append colours (js open-page (+ "(s => [s.backgroundColor, s.color])"
                                      "(getComputedStyle(document.body))"))))
  (assert (!= (get colours 0) (get colours 1)))
  (assert (= (get colours 0) ["rgb(255, 255, 255)" "rgb(34, 34, 34)"])))

(defn test-it-fits-a-narrow-window [open-page]
  (.set-window-size open-page 500 800)
  (assert (js open-page "document.documentElement.scrollWidth <= window.innerWidth"))
  (assert (= (.get-log open-page "browser") [])))

(defn test-the-pages-tables-hold-the-numbers []
  (defn rows [data]
    (setv [columns rows] (numbers-of data))
    (lfor  row rows  (dict (zip columns row))))
  (assert (= (rows {"kind" "positions"  "positions" ["1" "↵"]  "loss" [1 2]  "error" [3 4]
                    "floor" [5 6]})
             [{"position" "1"  "loss" 1  "standard error" 3  "floor" 5}
              {"position" "↵"  "loss" 2  "standard error" 4  "floor" 6}]))
  (assert (= (rows {"kind" "loss"  "steps" [0]  "train" [1]  "val" [2]})
             [{"step" 0  "training" 1  "validation" 2}]))
  (assert (= (rows {"kind" "truth"  "against" "chain"  "chars" ["a" "b"]
                    "contexts" [{"context" "a"  "weight" 0.5  "kl" 0.1  "true" [0.25 0.75]
                                 "model" [0.6 0.4]}]})
             [{"context" "a"  "how often" 0.5  "KL" 0.1  "true" "b 75.0 %  a 25.0 %"
               "model" "a 60.0 %  b 40.0 %"}]))
  (assert (= (rows {"kind" "embeddings"  "groups" [{"labels" ["a"]  "points" [[1 2]]}]})
             [{"token or position" "a"  "across" 1  "up" 2}]))
  (assert (= (rows {"kind" "chain"  "alphabet" ["a" "b"]
                    "merged" [{"contexts" ["x" "y"]  "stationary" 0.5  "next" [0.25 0.75]}]})
             [{"state" "x y"  "how often" 0.5  "next" "b 75.0 %  a 25.0 %"}])))

(defn test-a-table-without-floors-has-the-losses-all-the-same []
  (setv [_ rows] (numbers-of {"kind" "positions"  "positions" ["1"]  "loss" [1]  "error" [2]
                              "floor" None}))
  (assert (= (list rows) [#("1" 1 2 None)])))

(defn test-a-number-has-four-decimals-and-what-there-is-not-no-word []
  (assert (= (lfor  x [0.5 7 None]  (number x)) ["0.5000" "7" ""])))

(defn test-a-table-has-two-hundred-rows-at-most []
  (setv steps (list (range 300)))
  (assert (= 200 (len (get (picture {"kind" "loss"  "question" "?"  "yardsticks" {}  "steps" steps
                                     "train" steps  "val" steps})
                           "rows")))))

(defn test-what-a-picture-refers-to-is-in-it [kinds]
  (setv text  (svg-of (get kinds 6) "truth")
        names (re.findall r"(?:url\(|href=\")#([^)\"]+)" text))
  (assert names)
  (for [name names]
    (assert (in f" id=\"{name}\"" text))))

(defn test-the-question-stands-above-the-picture-alone []
  (assert (not-in "hither" (svg-of {"kind" "loss"  "question" "hither?"  "yardsticks" {}
                                    "steps" [0]  "train" [1]  "val" [2]}
                                   "loss"))))

(defn test-lines-and-tabs-stay-what-they-are []
  (assert (= (printable "a\tb\nc\x1b") "a\tb\nc\\x1b")))
