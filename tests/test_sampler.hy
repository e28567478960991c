"The sampler: filters against exact probabilities, streams against whole texts, explanations against
what was drawn, and every wrong request."

(eval-when-compile
  (require hyrule [ncut]))
(import  dataclasses [replace]
         io [BytesIO StringIO TextIOWrapper]
         math [inf log sqrt]
         pytest
         hypothesis [given settings strategies :as st]
         rich.cells [cell-len]
         rich.console [Console]
         torch
         torch.nn.functional :as F
         torch.testing [assert-close]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [Bigram GPT generate next-logits]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.explaining [Candidate candidate-cell explain explain-line explain-step
                                    explain-texts Explained filters-anything fit-left label percent
                                    show-explained visible]
         nanogpt-hy.lab.handmade [handmade]
         nanogpt-hy.lab.filters [filtered-probabilities]
         nanogpt-hy.lab.sampler [beginning draw known-prompt overlap sample-generator sample-texts
                                 SEPARATOR Settings Step steps tokens until-stop write-pieces])


;;; What the tests work with

(defn characters [text]
  (make-tokenizer "char" text))

(defn law [#* data]
  "What holds for all DATA; on a busy machine it may take its time."
  (fn [test] ((settings :deadline None) ((given #* data) test))))

(defn bigram [rows]
  "Probabilities (V V) -> the Bigram that gives them."
  (setv model (Bigram (len rows)))
  (.copy- model.table.weight.data (.log (torch.tensor rows)))
  model)

(defn cycle [tokenizer text]
  "A Bigram that goes on with TEXT round and round, whatever the seed."
  (setv ids  (.encode tokenizer text)
        rows (torch.full #(tokenizer.vocab-size tokenizer.vocab-size) 1e-30))
  (for [[here next-one] (zip ids [#* (cut ids 1 None) (get ids 0)])]
    (setv (get rows #(here next-one)) 1.0))
  (bigram (.tolist rows)))

(setv TEXT "the cat sat on the mat\nand 'it' was\n")

(defn small-gpt [[tokenizer (characters TEXT)]]
  "A GPT of untrained, but sharp opinions; in training mode, with dropout."
  (torch.manual-seed 1)
  (setv model (GPT (GPTConfig :vocab-size tokenizer.vocab-size :block-size 8 :n-layer 2 :n-embd 16
                              :n-head 2 :dropout 0.2)))
  (for [weight (.parameters model)]
    (.mul- weight.data 1.7))
  model)

(defn seeded [seed]
  (.manual-seed (torch.Generator) seed))

(defn log-of [#* probabilities]
  "Probabilities -> (V) logits."
  (.log (torch.tensor probabilities)))

(defn chi-square [counts expected]
  "(N) (N) -> float: the statistic; over cells that can be met, and none else was."
  (setv possible (> expected 0))
  (assert (= (int (.sum (get counts (= expected 0)))) 0))
  (setv e (* (.sum counts) (get expected possible))
        o (get counts possible))
  (float (.sum (/ (** (- o e) 2) e))))

(defn assert-drawn-from [counts expected]
  "COUNTS are within five sigma of the probabilities EXPECTED. (With seeds: it holds or not.)"
  (setv freedom (max 1 (- (int (.sum (> expected 0))) 1)))
  (assert (< (chi-square counts expected) (+ freedom (* 5 (sqrt (* 2 freedom)))))))

(defclass Spy [StringIO]
  "A file that remembers each write."
  (defn __init__ [self]
    (.__init__ (super))
    (setv self.writes []))
  (defn write [self text]
    (.append self.writes text)
    (.write (super) text)))


;;; Filters

(setv logit      (st.one-of (st.integers -4 4) (st.floats -5 5 :width 32))
      rows       (st.lists logit :min-size 1 :max-size 12)
      warmth     (st.floats 0.2 5)
      nucleus    (st.floats 0.01 1))

(defn test-the-defaults-are-the-models-own-probabilities []
  (setv logits (torch.randn 3 5 7 :generator (seeded 0)))
  (assert (torch.equal (filtered-probabilities logits) (F.softmax logits :dim -1))))

(defn [(law rows warmth (st.integers 0 15) nucleus)]
      test-filters-make-probabilities [row t k p]
  (setv logits (torch.tensor row :dtype torch.float32)
        after  (filtered-probabilities logits :temperature t :top-k k :top-p p)
        kept   (> after 0))
  (assert (= after.shape logits.shape))
  (assert-close (.sum after) (torch.tensor 1.0))
  (assert (.any kept))
  ;; No token is cut that is likelier than one that is kept; logits that rounding makes equal are.
  (setv before (F.softmax logits :dim -1))
  (when (not (.all kept))
    (assert (<= (.max (get before (bnot kept))) (+ 1e-6 (.min (get before kept)))))))

(defn [(law rows warmth (st.integers 1 15))]
      test-top-k-keeps-k-and-their-equals [row t k]
  (setv logits (torch.tensor row :dtype torch.float32)
        kept   (> (filtered-probabilities logits :top-k k) 0)
        kth    (get (sorted (.tolist logits) :reverse True) (- (min k (len row)) 1)))
  (assert (= (.tolist kept) (lfor  x (.tolist logits)  (>= x kth))))
  (assert (>= (int (.sum kept)) (min k (len row)))))

(defn [(law rows nucleus)]
      test-top-p-keeps-the-fewest-that-reach-p [row p]
  (setv logits (torch.tensor row :dtype torch.float32)
        before (F.softmax logits :dim -1)
        kept   (> (filtered-probabilities logits :top-p p) 0)
        total  (float (.sum (get before kept))))
  (assert (> total (- p 1e-5)))
  (assert (< (- total (float (.min (get before kept)))) (+ p 1e-5))))

(defn [(law (st.lists (st.lists logit :min-size 6 :max-size 6) :min-size 1 :max-size 5)
            warmth (st.integers 0 7) nucleus)]
      test-each-row-is-filtered-for-itself [row t k p]
  (setv logits (torch.tensor row :dtype torch.float32)
        how    (dict :temperature t :top-k k :top-p p))
  (assert-close (filtered-probabilities logits #** how)
                (torch.stack (lfor  r logits  (filtered-probabilities r #** how)))))

(defn test-temperature []
  (setv p (torch.tensor [0.6 0.3 0.1]))
  (assert-close (filtered-probabilities (.log p) :temperature 0.5) (/ (** p 2) (.sum (** p 2))))
  (assert-close (filtered-probabilities (.log p) :temperature 2) (/ (.sqrt p) (.sum (.sqrt p)))))

(defn [(pytest.mark.parametrize #("how" "expected") [
        #((dict :top-k 1)            [1 0 0 0])
        #((dict :top-k 2)            [(/ 4 7) (/ 3 7) 0 0])
        #((dict :top-k 99)           [0.4 0.3 0.2 0.1])
        #((dict :top-k 0 :top-p 1)   [0.4 0.3 0.2 0.1])
        #((dict :top-p 0.39)         [1 0 0 0])
        #((dict :top-p 0.41)         [(/ 4 7) (/ 3 7) 0 0])
        #((dict :top-p 0.95)         [0.4 0.3 0.2 0.1])
        #((dict :top-p 1e-9)         [1 0 0 0])
        ;; Top-p sees what top-k has left: 4/7 of it is the first token's.
        #((dict :top-k 2 :top-p 0.55)  [1 0 0 0])
        #((dict :top-p 5e-324)         [1 0 0 0])      ; less than float32 can tell from 0
        ;; Temperature comes before both: squared, they are 16, 9, 4 and 1, and 16/30 is enough.
        #((dict :temperature 0.5 :top-p 0.52)  [1 0 0 0])
        #((dict :temperature 0 :top-k 3 :top-p 0.9)  [1 0 0 0])])]
      test-filters-by-hand [how expected]
  (assert-close (filtered-probabilities (log-of 0.4 0.3 0.2 0.1) #** how)
                (torch.tensor expected :dtype torch.float32)))

(defn test-equals []
  (setv equal (torch.tensor [1.0 2.0 2.0 2.0]))
  (assert (= (.tolist (filtered-probabilities equal :temperature 0)) [0 1 0 0]))
  (assert (= (.tolist (> (filtered-probabilities equal :top-k 2) 0)) [False True True True]))
  (assert (= (.tolist (> (filtered-probabilities (torch.zeros 4) :top-p 0.5) 0))
             [True True False False]))
  (assert (torch.equal (> (filtered-probabilities (torch.zeros 1024) :top-p 0.5) 0)
                       (< (torch.arange 1024) 512))))

(defn test-as-nanogpt-cuts []
  "Its line in generate: logits[logits < v[:, [-1]]] = -inf."
  (setv logits (.round (* 2 (torch.randn 50 20 :generator (seeded 4)))))      ; with many equals
  (for [k [1 3 10 20]]
    (setv v   (. (torch.topk logits k) values)
          cut-logits (.masked-fill logits (< logits (ncut v : (: -1 None))) (- torch.inf)))
    (assert-close (filtered-probabilities logits :top-k k) (F.softmax cut-logits :dim -1))))

(defn test-as-hugging-face-cuts []
  "TopPLogitsWarper: in rising order, what sums to 1 - p or less is removed, the last one never."
  (setv logits (torch.randn 50 20 :generator (seeded 5)))
  (for [p [0.05 0.5 0.9 0.99]]
    (setv [rising places] (torch.sort logits :dim -1)
          removed (<= (.cumsum (F.softmax rising :dim -1) :dim -1) (- 1 p)))
    (setv (get removed #((slice None) -1)) False)
    (setv away (.scatter removed 1 places removed))
    (assert-close (filtered-probabilities logits :top-p p)
                  (F.softmax (.masked-fill logits away (- torch.inf)) :dim -1))))

(defn [(pytest.mark.parametrize "temperature" [1e-300 1e-38 1e-5 1e5 1e300])]
      test-extreme-temperatures [temperature]
  (setv logits (torch.tensor [[3e4 -3e4 2e4] [-1.0 (- torch.inf) -1.0]])
        p      (filtered-probabilities logits :temperature temperature))
  (assert-close (.sum p :dim -1) (torch.ones 2))
  (assert-close (get p 1) (torch.tensor [0.5 0.0 0.5]))
  (when (< temperature 1)
    (assert (= (.tolist (get p 0)) [1 0 0]))))

(defn [(pytest.mark.parametrize "dtype" [torch.float16 torch.bfloat16 torch.float64])]
      test-other-precisions [dtype]
  (setv logits (.to (log-of 0.4 0.3 0.2 0.1) dtype)
        p      (filtered-probabilities logits :temperature 0.9 :top-k 3 :top-p 0.8))
  (assert (not-in p.dtype [torch.float16 torch.bfloat16]))
  (assert-close (float (.sum p)) 1.0)
  (assert (= (.tolist (> p 0)) [True True True False])))

(defn [(pytest.mark.parametrize "temperature" [0 1])
       (pytest.mark.parametrize "bad" ["nan" "inf"])]
      test-a-broken-model-is-named [bad temperature]
  (with [e (pytest.raises WorkError :match "weights are not finite: use another checkpoint")]
    (filtered-probabilities (torch.tensor [0.0 (float bad)]) :temperature temperature))
  (assert (= e.value.exit-code 1)))


;;; Wrong settings

(defn [(pytest.mark.parametrize #("setting" "option" "limit") [
        #({"temperature" -0.1}          "--temperature is -0.1" "0 (always the likeliest token)")
        #({"temperature" (float "nan")} "--temperature is nan"  "a number")
        #({"temperature" (float "inf")} "--temperature is inf"  "a number")
        #({"temperature" (** 10 5000)}  "--temperature is a number of thousands of digits" "a ")
        #({"top_k" -1}                  "--top-k is -1"         "0 (all tokens) or more")
        #({"top_k" 1.5}                 "--top-k is 1.5"        "a whole number")
        #({"top_k" True}                "--top-k is True"       "a whole number")
        #({"top_p" 0}                   "--top-p is 0"          "more than 0 and at most 1")
        #({"top_p" -0.5}                "--top-p is -0.5"       "more than 0 and at most 1")
        #({"top_p" 1.01}                "--top-p is 1.01"       "more than 0 and at most 1")
        #({"top_p" (float "nan")}       "--top-p is nan"        "more than 0 and at most 1")
        #({"max_new_tokens" -1}         "--max-new-tokens is -1"  "0 or more")
        #({"num_samples" 0}             "--num-samples is 0"    "1 or more")
        #({"seed" -1}                   "--seed is -1"          "from 0 to 4294967295")
        #({"seed" (** 2 32)}            "--seed is 4294967296"  "from 0 to 4294967295")
        #({"stop" ""}                   "--stop is empty"       "a text, or left out")
        #({"unknown" "ignore"}          "--unknown is ignore"   "error or skip")])]
      test-wrong-settings [setting option limit]
  (with [e (pytest.raises RequestError)]
    (Settings #** setting))
  (assert (.startswith (str e.value) f"{option}: it has to be "))
  (assert (in limit (str e.value)))
  (assert (not-in "\n" (str e.value))))

(defn test-the-limits-themselves-can-be-asked-for []
  (for [how [{"max_new_tokens" 0} {"num_samples" 1} {"seed" 0} {"seed" 0xffffffff} {"top_p" 1}]]
    (Settings #** how)))

(defn test-filters-are-checked-where-they-are-used []
  (for [wrong [{"temperature" -1} {"top_k" -1} {"top_p" 0}]]
    (with [_ (pytest.raises RequestError)]
      (filtered-probabilities (torch.zeros 3) #** wrong))))


;;; Draws

(defn [(pytest.mark.parametrize "how" [
        {} {"temperature" 0.7} {"top_k" 2} {"top_p" 0.6}
        {"temperature" 1.5 "top_k" 3 "top_p" 0.8}])]
      test-draws-follow-the-probabilities [how]
  (setv expected (filtered-probabilities (log-of 0.4 0.3 0.2 0.1) #** how)
        drawn    (draw (.expand expected 20,000 4) (seeded 2)))
  (assert (= drawn.shape #(20,000 1)))
  (assert-drawn-from (torch.bincount (.flatten drawn) :minlength 4) expected))

(defn test-two-tokens-follow-the-exact-chain []
  "Of 20,000 rows the pairs that follow token 0, against the product of the filtered rows."
  (setv model    (bigram [[0.1 0.6 0.3] [0.5 0.2 0.3] [0.25 0.25 0.5]])
        how      (Settings :temperature 0.8 :top-p 0.85)
        filtered (filtered-probabilities model.table.weight.data :temperature 0.8 :top-p 0.85)
        [x y]    (tokens model (torch.zeros 20,000 1 :dtype torch.long) 2 :settings how
                         :generator (seeded 3))
        expected (* (.unsqueeze (get filtered 0) 1) filtered))          ; (3 3)
  (assert-drawn-from (torch.bincount (+ (* 3 x) y) :minlength 9) (.flatten expected)))

(defn test-the-defaults-draw-what-the-course-draws []
  (setv model (.eval (small-gpt))
        ids   (torch.tensor [[1 2 3] [4 5 6]])
        whole (generate model ids 40 :block-size 8 :generator (seeded 7))
        drawn (list (tokens model ids 40 :block-size 8 :generator (seeded 7))))
  (assert (= (len drawn) 40))
  (assert (torch.equal (torch.stack drawn 1) (ncut whole : 3:))))

(defn test-tokens-leave-the-model-as-it-was []
  (setv model (small-gpt)
        first-layer (next (.children model)))
  (.eval first-layer)
  (setv modes (lfor  layer (.modules model)  layer.training)
        drawn (tokens model (torch.tensor [[1]]) 9 :block-size 8 :generator (seeded 7)))
  (next drawn)
  ;; Between two tokens too: whoever samples while training can train on.
  (assert (= modes (lfor  layer (.modules model)  layer.training)))
  (assert (torch.is-grad-enabled))
  (assert (not (. (next drawn) requires-grad)))
  (assert (= (len (list drawn)) 7))
  (assert (= modes (lfor  layer (.modules model)  layer.training))))

(defn test-training-mode-does-not-change-what-is-drawn []
  (setv model (small-gpt)
        once  (list (tokens model (torch.tensor [[1]]) 30 :block-size 8 :generator (seeded 7))))
  (.eval model)
  (assert (= once (list (tokens model (torch.tensor [[1]]) 30 :block-size 8
                                :generator (seeded 7))))))

(defn test-the-mode-comes-back-after-an-error []
  (setv model (small-gpt))
  (defn fails [#* _ #** how]
    (assert (not model.training))
    (raise (ValueError "no")))
  (with [_ (pytest.raises ValueError)]
    (list (tokens model (torch.tensor [[1]]) 1 :ask fails)))
  (assert model.training))

(defn test-one-place-asks-the-model []
  "Whoever answers in next-logits' stead sees the ids grow by one column each time."
  (setv widths [])
  (defn ask [model ids * block-size]
    (.append widths #((get ids.shape 1) block-size))
    (next-logits model ids :block-size block-size))
  (setv model (small-gpt)
        how   (dict :block-size 8)
        asked (list (tokens model (torch.tensor [[1 2]]) 9 :ask ask :generator (seeded 1) #** how))
        plain (list (tokens model (torch.tensor [[1 2]]) 9 :generator (seeded 1) #** how)))
  (assert (= asked plain))
  (assert (= widths (lfor  n (range 2 11)  #(n 8)))))

(defn test-greedy-takes-the-likeliest []
  (setv model (small-gpt)
        how   (Settings :temperature 0)
        taken (list (steps model (torch.tensor [[1] [5]]) 20 :block-size 8 :settings how)))
  (for [step taken]
    (assert (torch.equal step.drawn (.argmax step.logits :dim -1)))))

(defn test-no-token-and-none-to-go-on-from []
  (setv model (small-gpt))
  (assert (= [] (list (tokens model (torch.tensor [[1]]) 0))))
  (with [_ (pytest.raises RequestError :match "no tokens to go on from")]
    (list (tokens model (torch.zeros 1 0 :dtype torch.long) 1))))


;;; The stop string

(setv ab-pieces (st.lists (st.text "ab" :max-size 3) :max-size 12)
      ab-stop   (st.text "ab" :min-size 1 :max-size 4))

(defn test-overlap []
  (assert (= 2 (overlap "say: en" "end")))
  (assert (= 0 (overlap "the end" "end")))
  (assert (= 3 (overlap "abab" "babb")))
  (assert (= 0 (overlap "" "end"))))

(defn [(law ab-pieces ab-stop)]
      test-text-ends-before-the-stop-string [pieces stop]
  (assert (= (.join "" (until-stop pieces stop))
             (get (.split (.join "" pieces) stop 1) 0))))

(defn [(law ab-pieces ab-stop)]
      test-the-stop-string-is-never-half-printed [pieces stop]
  "What is out so far stays right, however the text might go on."
  (setv out "")
  (defn tapped []
    (setv text "")
    (for [piece pieces]
      (setv text (+ text piece))
      (yield piece)
      ;; By now all that can be told of this text is out.
      (for [n (range (len stop))]
        (setv if-so (get (.split (+ text (cut stop n None)) stop 1) 0))
        (assert (.startswith if-so out)))))
  (for [piece (until-stop (tapped) stop)]
    (setv out (+ out piece)))
  (assert (not-in stop out)))

(defn [(law ab-pieces)]
      test-nothing-is-held-back-without-need [pieces]
  "No piece holds a c, so all of it comes out at once."
  (assert (= (list (until-stop pieces "cab")) [#* pieces ""])))

(defn test-no-token-is-drawn-after-the-stop []
  (setv asked [])
  (defn pieces []
    (for [piece ["a" "xe" "n" "d!" "more"]]
      (.append asked piece)
      (yield piece)))
  (assert (= (list (until-stop (pieces) "end")) ["a" "x" "" ""]))
  (assert (= asked ["a" "xe" "n" "d!"])))


;;; Texts

(setv abc (characters "abc\n"))

(defn written [model tokenizer #** request]
  "-> #(texts writes) of sample-texts."
  (setv out   (Spy)
        texts (sample-texts model tokenizer out #** request))
  #(texts out.writes))

(defn test-the-prompt-comes-first-and-text-streams []
  (setv [texts writes] (written (cycle abc "abc") abc :prompt "ca" :settings
                                (Settings :max-new-tokens 4)))
  (assert (= texts ["cabcab"]))
  (assert (= writes ["ca" "b" "c" "a" "b" "\n"])))

(defn test-no-newline-is-added-to-one []
  (setv [texts writes] (written (cycle abc "ab\n") abc :prompt "a" :settings
                                (Settings :max-new-tokens 2)))
  (assert (= texts ["ab\n"]))
  (assert (= writes ["a" "b" "\n"])))

(defn test-each-piece-is-out-before-the-next-is-asked-for []
  (setv out (BytesIO)  seen [])
  (defn pieces []
    (for [piece "abc"]
      (.append seen (.getvalue out))
      (yield piece)))
  (setv file (TextIOWrapper out :newline "\n"))
  (write-pieces (pieces) file)
  (assert (= [#* seen (.getvalue out)] [b"" b"a" b"ab" b"abc\n"])))

(defn test-stop-string-over-several-tokens []
  (setv [texts writes] (written (cycle abc "abc\n") abc :prompt "a" :settings
                                (Settings :max-new-tokens 50 :stop "c\na")))
  (assert (= texts ["ab"]))
  (assert (= writes ["a" "b" "\n"])))

(defn test-what-was-held-back-comes-out-at-the-end []
  (setv [texts _] (written (cycle abc "abc\n") abc :prompt "a" :settings
                           (Settings :max-new-tokens 3 :stop "c\nb")))
  (assert (= texts ["abc\n"])))

(defn test-the-prompt-does-not-stop-the-text []
  (setv [texts _] (written (cycle abc "abc\n") abc :prompt "abc" :settings
                           (Settings :max-new-tokens 9 :stop "abc")))
  (assert (= texts ["abc\n"])))

(defn test-prompts-of-any-length []
  (setv tokenizer (characters TEXT)
        model     (small-gpt tokenizer))
  (for [n [1 7 8 9 200]]
    (setv prompt (cut (* TEXT 9) n)
          [texts _] (written model tokenizer :prompt prompt :block-size 8
                             :settings (Settings :max-new-tokens 5 :seed 1)))
    (assert (.startswith (get texts 0) prompt))
    (assert (= (len (get texts 0)) (+ n 5)))))

(defn test-a-stream-is-the-whole-text-of-the-course []
  (setv tokenizer (characters TEXT)
        model     (.eval (small-gpt tokenizer))
        [texts writes] (written model tokenizer :prompt "the " :block-size 8
                                :settings (Settings :max-new-tokens 60 :seed 11))
        whole     (generate model (torch.tensor [(.encode tokenizer "the ")]) 60
                            :block-size 8 :generator (seeded 11)))
  (assert (= texts [(.decode tokenizer (.tolist (get whole 0)))]))
  (assert (= (.rstrip (.join "" writes) "\n") (.rstrip (get texts 0) "\n")))
  (assert (>= (len writes) 61)))

(defn test-a-character-of-several-bytes-is-written-whole []
  (setv tokenizer (make-tokenizer "byte" "")
        [texts writes] (written (cycle tokenizer "é€") tokenizer :prompt "é"
                                :settings (Settings :max-new-tokens 5 :temperature 0)))
  (assert (= texts ["é€é"]))
  (assert (= writes ["é" "€" "é" "\n"])))

(defn test-a-stop-string-of-several-bytes []
  (setv tokenizer (make-tokenizer "byte" "")
        [texts writes] (written (cycle tokenizer "aé€") tokenizer :prompt "a"
                                :settings (Settings :max-new-tokens 50 :stop "€a" :temperature 0)))
  (assert (= texts ["aé"]))
  (assert (= writes ["a" "é" "\n"])))


;;; Seeds and several samples

(defn sampled [[prompt "the "] #** how]
  "Texts of the small GPT."
  (setv tokenizer (characters TEXT))
  (get (written (small-gpt tokenizer) tokenizer :prompt prompt :block-size 8
                :starts {"t" 1 "a" 1}
                :settings (Settings :max-new-tokens 40 #** how))
       0))

(defn test-a-seed-repeats []
  (assert (= (sampled :seed 5) (sampled :seed 5)))
  (assert (!= (sampled :seed 5) (sampled :seed 6)))
  (assert (!= (sampled) (sampled))))

(defn [(pytest.mark.parametrize "prompt" ["the " ""])]
      test-a-sample-does-not-depend-on-the-others [prompt]
  (setv five (sampled prompt :seed 5 :num-samples 5))
  (assert (= (len (set five)) 5))
  (assert (= (sampled prompt :seed 5 :num-samples 2) (cut five 2)))
  ;; Nor do samples of neighbouring seeds repeat each other.
  (assert (not (& (set five) (set (sampled prompt :seed 6 :num-samples 5))))))

(defn test-generators []
  (defn draws [generator] (.tolist (torch.rand 3 :generator generator)))
  (assert (= (draws (sample-generator 9 0)) (draws (seeded 9))))
  (assert (= (draws (sample-generator 9 3)) (draws (sample-generator 9 3))))
  (assert (!= (draws (sample-generator 9 1)) (draws (sample-generator 10 0)))))

(defn test-a-sample-is-the-same-in-every-version []
  (assert (= [9 4210998600 703119185] (lfor  i (range 3)  (.initial-seed (sample-generator 9 i))))))

(defn test-several-samples-are-separated []
  (setv [texts writes] (written (cycle abc "abc") abc :prompt "a" :settings
                                (Settings :max-new-tokens 1 :num-samples 3)))
  (assert (= texts ["ab" "ab" "ab"]))
  (assert (= (.join "" writes) (.join SEPARATOR ["ab\n" "ab\n" "ab\n"]))))


;;; Prompts

(defn test-unknown-characters-are-named-with-their-places []
  (with [e (pytest.raises RequestError)]
    (known-prompt abc "ab?ca!?"))
  (assert (= (str e.value)
             (+ "the prompt has characters that the model never saw, counted from 0: '?' at 2, "
                "'!' at 5: leave them out, as --unknown skip does")))
  (assert (= e.value.exit-code 2)))

(defn test-many-unknown-characters []
  (with [e (pytest.raises RequestError :match "'h' at 4 and 3 more: leave them out")]
    (known-prompt abc "defgh ij"))
  (assert (not-in "'i'" (str e.value))))

(defn test-unknown-characters-can-be-left-out []
  (assert (= (known-prompt abc "ab?ca!?" "skip") "abca"))
  (setv how (Settings :max-new-tokens 3 :unknown "skip"))
  (assert (= (get (written (cycle abc "abc") abc :prompt "x?a" :settings how) 0) ["abca"])))

(defn test-half-a-character-is-unknown-to-bytes-too []
  (setv tokenizer (make-tokenizer "byte" ""))
  (with [_ (pytest.raises RequestError :match "at 1: leave")]
    (known-prompt tokenizer "a\udce9"))
  (assert (= (known-prompt tokenizer "a\udce9é" "skip") "aé")))

(defn test-an-empty-prompt-after-skipping-is-none []
  (setv model (cycle abc "\nab")
        how   (Settings :max-new-tokens 3 :unknown "skip"))
  (for [prompt ["?!" "" None]]
    (assert (= (get (written model abc :prompt prompt :settings how) 0) ["ab\n"]))))


;;; No prompt

(defn test-no-prompt-starts-a-line []
  "The newline is what the model goes on from, and not part of the text."
  (assert (= (beginning abc "" {"a" 3 "b" 1} (seeded 1)) #((.encode abc "\n") "")))
  (assert (= (beginning abc "" None (seeded 1)) #((.encode abc "\n") ""))))

(defn test-without-newlines-a-first-character-is-drawn []
  (setv tokenizer (characters "abc")
        generator (seeded 1)
        drawn     (lfor  _ (range 2000)  (beginning tokenizer "" {"a" 3  "c" 1} generator))
        counts    (torch.tensor (lfor  c "abc"  (sum (gfor  [_ text] drawn  (= text c))))))
  (assert (all (gfor  [ids text] drawn  (= ids (.encode tokenizer text)))))
  (assert-drawn-from counts (torch.tensor [0.75 0.0 0.25])))

(defn test-a-first-character-is-part-of-the-text []
  (setv tokenizer (characters "abc")
        [texts writes] (written (cycle tokenizer "abc") tokenizer :starts {"b" 1}
                                :settings (Settings :max-new-tokens 2)))
  (assert (= texts ["bca"]))
  (assert (= writes ["b" "c" "a" "\n"])))

(defn test-one-line-alone-never-showed-a-newline []
  "Bytes could write one; the model does not know what follows it."
  (setv tokenizer (make-tokenizer "byte" ""))
  (assert (= (beginning tokenizer "" {"a" 1} (seeded 1)) #([97] "a")))
  (assert (= (beginning tokenizer "" {"a" 2} (seeded 1)) #([10] ""))))

(defn test-starts-that-cannot-be-are-passed-over []
  (setv tokenizer (characters "abc"))
  (for [starts [{"x" 5 "a" 1} {"" 5 "a" 1} {"b" -5 "a" 1} {"b" "many" "a" 1} {"b" True "a" 1}
                  {"ab" 5 "a" 1} {"a" (** 10 400)}]]
    (assert (= (beginning tokenizer "" starts (seeded 1)) #([0] "a")))))

(defn [(pytest.mark.parametrize "starts" [None {} {"x" 1} {"a" 0} ["a"] 7])]
      test-nothing-to-start-with [starts]
  (with [_ (pytest.raises RequestError :match "give a beginning, --prompt TEXT")]
    (beginning (characters "abc") "" starts (seeded 1))))


;;; Explanations

(defn explained [[prompt "the "] #** how]
  "-> #(rows steps tokenizer): the small GPT's explanations and the sampler's own steps."
  (setv tokenizer (characters TEXT)
        model     (small-gpt tokenizer)
        how       (Settings :max-new-tokens 25 #** how)
        ids       (torch.tensor [(.encode tokenizer prompt)]))
  #((list (explain model tokenizer ids :settings how :generator (seeded 3) :block-size 8))
    (list (steps model ids 25 :settings how :generator (seeded 3) :block-size 8))
    tokenizer))

(defn [(pytest.mark.parametrize "how" [
        {} {"temperature" 0} {"temperature" 2.0 "top_k" 6 "top_p" 0.8}])]
      test-explanations-are-the-samplers-numbers [how]
  (setv [rows drawn tokenizer] (explained #** how))
  (assert (= (len rows) 25))
  (for [[row step] (zip rows drawn)]
    (setv before (F.softmax (get step.logits 0) :dim -1)
          after  (get step.probabilities 0)
          id     (int step.drawn))
    (for [c [#* row.likeliest row.drawn]]
      (assert (= c.after (float (get after c.id))))
      (assert-close c.before (float (get before c.id)) :rtol 1e-5 :atol 1e-7)
      (assert (= c.text (get tokenizer.chars c.id))))
    (assert (= #(row.drawn.id row.text) #(id (get tokenizer.chars id))))
    (assert (= row.context (cut (.decode tokenizer (.tolist (get step.ids 0))) -8 None)))
    (assert (= row.cut (int (.sum (= after 0)))))
    (assert-close row.cut-share (float (.sum (get before (= after 0)))) :rtol 1e-4 :atol 1e-6)
    (assert-close row.surprise (- (log row.drawn.before)))
    (assert (= (lfor  c row.likeliest  c.before)
               (sorted (gfor  c row.likeliest  c.before) :reverse True)))
    (assert-close (. (get row.likeliest 0) before) (float (.max before)) :rtol 1e-5 :atol 0)))

(defn test-what-was-sure-lost-nothing-and-not-minus-nothing []
  (setv aab   (handmade "aab")
        [row] (explain aab.model aab.tokenizer (torch.tensor [(.encode aab.tokenizer "aab")])
                       :settings (Settings :max-new-tokens 1)))
  (assert (in "100.0  0.00  'a' 100" (explain-line row False 80))))

(defn plain-console [[width 80]]
  (Console :file (Spy) :width width :force-terminal False :color-system None))

(defn table [#** how]
  "-> #(texts lines): what explain-texts prints of the small GPT."
  (setv tokenizer (characters TEXT)
        console   (plain-console (.pop how "width" 80))
        how       (Settings :max-new-tokens 30 :seed 2 #** how)
        texts     (explain-texts (small-gpt tokenizer) tokenizer console :prompt "it' was\n"
                                 :block-size 8 :settings how))
  #(texts (.split (.getvalue console.file) "\n")))

(defn [(pytest.mark.parametrize "how" [{} {"top_k" 4} {"temperature" 0} {"stop" "h" "top_p" 0.9}
                                       {"num_samples" 2} {"width" 50} {"width" 200}])]
      test-the-table-fits [how]
  (setv width (.get how "width" 80)
        [texts lines] (table #** how))
  (assert (<= (max (map len lines)) width))
  (assert (not-in "\x1b" (.join "" lines)))
  (assert (.startswith (get lines 0) "after")))

(defn test-the-table-shows-what-was-cut-and-drawn []
  (setv [_ lines] (table :top-k 3 :temperature 1.5))
  (assert (in "cut" (get lines 0)))
  (for [line (cut lines 1 31)]
    (assert (in "12: " line)))                          ; of 15 tokens 3 are left
  (assert (in ">" (get lines 1)))
  (setv [_ lines] (table))
  (assert (not-in "cut" (.join "" lines))))

(defn test-newlines-and-spaces-are-visible []
  (assert (= (visible "\n") "'\\n'"))
  (assert (= (visible " ") "' '"))
  (setv [_ lines] (table))
  (assert (.startswith (get lines 1) "\"it' was\\n\"")))

(defn [(pytest.mark.parametrize "how" [{} {"stop" "h"} {"num_samples" 3 "top_k" 9}])]
      test-explained-texts-are-the-sampled-ones [how]
  (setv tokenizer (characters TEXT)
        [texts lines] (table #** how)
        [plain _] (written (small-gpt tokenizer) tokenizer :prompt "it' was\n" :block-size 8
                           :settings (Settings :max-new-tokens 30 :seed 2 #** how)))
  (assert (= texts plain))
  (assert (in (+ "\n\n" (get texts 0)) (.join "\n" lines)))          ; an empty line before it
  (assert (= (.count (.join "\n" lines) SEPARATOR) (- (len texts) 1))))

(defn test-characters-of-several-bytes-are-explained-too []
  (setv tokenizer (make-tokenizer "byte" "")
        console   (plain-console)
        how       (Settings :max-new-tokens 6 :temperature 0)
        model     (cycle tokenizer "é€")
        texts     (explain-texts model tokenizer console :prompt "é" :settings how))
  (assert (= texts (sample-texts model tokenizer (StringIO) :prompt "é" :settings how)))
  (assert (<= (max (map len (.split (.getvalue console.file) "\n"))) 80)))

(defn test-long-tokens-do-not-break-the-table []
  (setv tokenizer (make-tokenizer "bpe:300" (* "antidisestablishmentarianism 漢字漢字漢字漢字\n" 50))
        console   (plain-console)
        model     (Bigram tokenizer.vocab-size))
  (explain-texts model tokenizer console :prompt "anti"
                 :settings (Settings :max-new-tokens 40 :seed 1 :top-k 50))
  (setv lines (.split (.getvalue console.file) "\n"))
  (assert (> (max (map cell-len (cut lines 1 41))) 50))
  (assert (<= (max (map cell-len (cut lines 41))) 80)))

(defn test-pieces-stream-and-stop-inside-a-piece []
  "The stop string is a part of one piece and begins in the one before."
  (setv tokenizer (make-tokenizer "bpe:280" (* "one two three\n" 50))
        model     (cycle tokenizer "one two three\n")
        text      (.decode tokenizer (.encode tokenizer "one two three\n"))
        [texts _] (written model tokenizer :prompt "one" :settings
                           (Settings :max-new-tokens 90 :temperature 0 :stop "o th")))
  (assert (= text "one two three\n"))
  (assert (= texts ["one tw"])))

(defn test-the-percentage-is-what-the-draw-went-by []
  (setv drawn (Candidate 0 "a" 0.25 0.5)
        line  (explain-line (Explained "ab" #(drawn) 1 0.5 drawn 1.39 "a") True 80))
  (assert (= (.split line) ["'ab'" "'a'" "50.0" "1.39" "1:" "50%" "'a'" "25>50"])))

(setv SURE (Explained "ab" #((Candidate 0 "a" 0.6 1.0) (Candidate 1 "b" 0.04 0.0)) 1 0.04
                      (Candidate 0 "a" 0.6 1.0) 0.51 "a"))

(defn test-as-many-of-the-likeliest-as-fit []
  (setv whole (explain-line SURE True 200)
        width (cell-len whole))
  (assert (.endswith whole "  'a' 60>100  'b' 4 cut"))
  (assert (= whole (explain-line SURE True width)))
  (assert (.endswith (explain-line SURE True (- width 1)) "  'a' 60>100")))

(defn test-a-candidates-cell []
  (setv cut-off (get SURE.likeliest 1))
  (assert (= "'b' 4 cut" (candidate-cell cut-off True)))
  (assert (= "'b' 4" (candidate-cell cut-off False))))

(defn test-percentages-take-three-columns []
  (assert (= ["0" "<1" "1" "41" "100"] (lfor  p [0.0 0.004 0.01 0.414 1.0]  (percent p)))))

(defn test-wide-characters-fit-their-columns []
  (assert (= "'漢字漢字 .." (label (Candidate 0 "漢字漢字漢字" 0.5 0.5))))
  (assert (= "'字漢字漢字'" (fit-left "漢字漢字漢字漢字" 12))))

(defn test-part-of-a-character-is-a-number []
  (assert (= "#195" (label (Candidate 195 "\ufffd" 0.5 0.5)))))

(defn test-each-filter-has-a-column []
  (assert (not (filters-anything (Settings))))
  (for [how [{"temperature" 0.9} {"top_k" 3} {"top_p" 0.9}]]
    (assert (filters-anything (Settings #** how)))))

(defn test-so-many-of-the-likeliest []
  (setv rows (explain (small-gpt) (characters TEXT) (torch.tensor [[1]]) :likeliest 3 :block-size 8
                      :settings (Settings :max-new-tokens 2)))
  (assert (= [3 3] (lfor  row rows  (len row.likeliest)))))

(defn test-what-nobody-expected-surprises-without-end []
  "Hot enough, what the model held impossible is drawn."
  (setv step (Step (torch.tensor [[0]]) (torch.tensor [[0.0 -2000 0 0]])
                   (torch.tensor [[0.0 1 0 0]]) (torch.tensor [1]) :seen 1))
  (assert (= inf (. (explain-step step abc "b") surprise))))

(defn test-surprises-are-yellow []
  (setv console (Console :file (StringIO) :width 80 :force-terminal True :no-color False
                         :color-system "standard"))
  (show-explained (lfor  nats [0.9 1.1]  (replace SURE :surprise nats)) console)
  (assert (= [False True] (lfor  line (cut (.split (.getvalue console.file) "\n") 1 3)
                                 (in "\x1b[33m" line)))))

(defn test-no-screen-is-too-narrow-for-a-line-a-token []
  (setv [_ lines] (table :width 20))
  (assert (= 31 (.index lines ""))))
