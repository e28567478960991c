"The a/b chain and every other: what a chain is, drawing from it, exact floors."

(import  dataclasses [FrozenInstanceError replace]
         itertools [product]
         math [log]
         os
         pathlib [Path]
         re
         subprocess
         sys
         numpy :as np
         pytest
         hypothesis [given settings strategies :as st]
         chains [chains near refused]
         nanogpt-hy.lab.data.chain-files [fits line-length]
         nanogpt-hy.lab.data.markov :as markov
         nanogpt-hy.lab.data.markov [Chain ab-chain draw-lines floor floors-by-context
                                     floors-by-position next-probabilities window-floor])

(setv DATA (/ (. (Path __file__) parent parent) "data"))

;;; The laws, by trying everything

(defn line-probabilities [chain]
  "Chain -> {line: p}, by trying every line."
  (setv out {})
  (for [cs (product (range (len chain.chars)) :repeat chain.line-length)]
    (setv p (get chain.start (get cs 0)))
    (for [[i j] (zip cs (cut cs 1 None))]
      (setv p (* p (get chain.transitions i j))))
    (when (> p 0)
      (setv (get out (+ (.join "" (gfor  i cs  (get chain.chars i))) "\n")) p)))
  out)

(defn enumerated [chain k]
  "Chain, k -> {context of k tokens: {next: p of both}}, by trying every run of whole lines."
  (setv lines (line-probabilities chain)
        width (+ chain.line-length 1)
        many  (+ (- (// (- k) width)) 1)          ; lines enough to hold a context, and one more
        out   {})
  (for [run (product lines :repeat many)]
    (setv text (.join "" run)
          p    (/ (np.prod (lfor  line run  (get lines line))) width))
    (for [i (range (- (len text) width) (len text))]
      (setv nexts (.setdefault out (cut text (- i k) i) {})
            c     (get text i)
            (get nexts c) (+ (.get nexts c 0.0) p))))
  out)

(defn entropy-of [contexts]
  (sum (gfor  nexts (.values contexts)
             p     (.values nexts)
             (* p (log (/ (sum (.values nexts)) p))))))


;;; Floors: the table of NUMBERS.md ("a/b strings"; lines that start with a)

(defn [(pytest.mark.parametrize
         "stay, length, full, bigram"
         [#(0.5 8 0.152829 0.457636) #(0.5 16 0.081544 0.293471)
          #(0.7 8 0.207614 0.511567) #(0.9 16 0.151854 None)])]
    test-the-floors-of-the-table [stay length full bigram]
  (setv chain (ab-chain :stay stay :length length :start "a"))
  (assert (near (floor chain) full 1e-6))
  (when bigram
    (assert (near (floor chain :context 1) bigram 1e-6))))

(defn [(pytest.mark.parametrize "stay" [0.1 0.5 0.7 0.9])] test-the-entropy-of-a-line [stay]
  "NUMBERS.md: h(p)(1 - p^(L-1))/(1-p) nats."
  (for [L [1 2 8 16]]
    (setv h      (- (- (* stay (log stay))) (* (- 1 stay) (log (- 1 stay))))
          wanted (/ (* h (- 1 (** stay (- L 1)))) (- 1 stay)))
    (assert (near (sum (floors-by-position (ab-chain :stay stay :length L :start "a"))) wanted))))

(defn test-the-default-chain []
  (setv chain (ab-chain))
  (assert (= chain (Chain "ab" #(0.5 0.5) #(#(0.5 0.5) #(0.0 1.0)) 8)))
  (assert (= (. (ab-chain :start "a") start) #(1.0 0.0)))
  (assert (= (ab-chain :start "ba") (ab-chain)))
  ;; One bit for the first character, then h = ln 2 for each a that may end: 1/2 + 1/4 + ... 1/128.
  (assert (near (* 9 (floor chain)) (* (log 2) (+ 1 (- 1 (/ 1 128)))))))

(defn test-floors-by-position-of-the-default-chain []
  (setv floors (floors-by-position (ab-chain)))
  (assert (= floors (pytest.approx [#* (lfor  i (range 8)  (* (log 2) (** 0.5 i))) 0]))))

(defn [(settings :max-examples 30 :deadline None) (given (chains :longest 3))]
    test-floors-are-what-enumeration-gives [chain]
  (for [k (range (+ chain.line-length 3))]
    (assert (near (floor chain :context k) (entropy-of (enumerated chain k))))))

(defn [(settings :max-examples 30 :deadline None) (given (chains :longest 3))]
    test-next-probabilities-are-what-enumeration-gives [chain]
  (for [k (range (+ chain.line-length 3))
        [context nexts] (.items (enumerated chain k))]
    (setv told  (next-probabilities chain context)
          total (sum (.values nexts)))
    (assert (near (sum (.values told)) 1))
    (for [[c p] (.items told)]
      (assert (near p (/ (.get nexts c 0) total))))))

(defn [(settings :max-examples 100 :deadline None) (given (chains :longest 8))]
    test-more-context-never-hurts [chain]
  (setv floors (floors-by-context chain)
        L      chain.line-length)
  (assert (= (len floors) (+ L 1)))
  (assert (all (gfor  [f g] (zip floors (cut floors 1 None))  (>= (+ f 1e-12) g))))
  (assert (all (gfor  f floors  (>= f -1e-12))))
  (assert (near (floor chain) (/ (sum (floors-by-position chain)) (+ L 1))))
  (for [k [L (+ L 1) 1000]]
    (assert (near (floor chain :context k) (floor chain)))))

(defn [(settings :max-examples 50 :deadline None)
       (given (chains :longest 8) (st.integers 1 20))]
    test-a-window-is-the-mean-of-its-contexts [chain block-size]
  (setv floors (lfor  t (range block-size)  (floor chain :context (+ t 1))))
  (assert (near (window-floor chain block-size) (/ (sum floors) block-size))))

(defn [(pytest.mark.parametrize "stay" [0 0.0 1 1.0])] test-certain-steps-cost-nothing [stay]
  (setv chain (ab-chain :stay stay :start "a"))
  (assert (= (floors-by-position chain) (* [0] 9)))
  (assert (= (floor chain) 0))
  (assert (all (gfor  f (floors-by-context chain)  (>= f 0))))     ; false for nan
  (assert (= (next-probabilities chain "\na") {"a" (float stay) "b" (- 1.0 stay) "\n" 0.0})))

(defn test-hidden-places-by-hand []
  ;; Lines of 2: aa 1/4, ab 1/4, bb 1/2.
  (setv chain (ab-chain :length 2))
  (for [[context odds] [["" [3 5 4]] ["a" [1 1 1]] ["b" [0 2 3]]]]
    (assert (= (next-probabilities chain context)
               (pytest.approx (dfor  [c n] (zip "ab\n" odds) c (/ n (sum odds)))))))
  (assert (= (next-probabilities chain "b\n") {"a" 0.5 "b" 0.5 "\n" 0.0}))
  (assert (= (next-probabilities chain "ab") {"a" 0.0 "b" 0.0 "\n" 1.0})))

(defn [(pytest.mark.parametrize "context" ["c" "ba" "\nba" "aaaaaaaaa" "\n\n" "\nab\n" "\n\na"
                                           "ba\naaaaaaaa" "aaaaaaaaa\n"])]
    test-a-context-the-chain-never-gives [context]
  (with [_ (refused "never gives")]
    (next-probabilities (ab-chain) context)))

(defn test-a-context-that-cannot-be []
  (with [_ (refused "-1 tokens")]
    (floor (ab-chain) :context -1))
  (with [_ (refused "block-size is 0")]
    (window-floor (ab-chain) 0)))

(defn test-the-readme-quotes-the-floors []
  (setv readme (.read-text (/ DATA "README.md") :encoding "utf-8")
        rows   (re.findall r"(?m)^\| (\d) \| ([\d.]+) \|$" readme)
        chain  (ab-chain))
  (assert (= rows (lfor  [k f] (enumerate (floors-by-context chain))  #((str k) f"{f :.6f}"))))
  (assert (in f"{(floor chain) :.6f}" readme))
  (assert (in "nanogpt-hy data ab --out data/ab.txt" readme)))


;;; Drawing

(defn [(settings :max-examples 40 :deadline None)
       (given (chains) (st.integers 1 30) (st.integers 0 (** 2 40)))]
    test-drawn-lines-are-possible [chain count seed]
  (setv text (draw-lines chain count :seed seed))
  (assert (= (len text) (* count (+ chain.line-length 1))))
  (assert (= (line-length text :at-least 1) chain.line-length))
  (assert (<= (set (cut text None -1)) (set (+ chain.chars "\n"))))
  (assert (fits chain text))
  (assert (= text (draw-lines chain count :seed seed)))
  (assert (.startswith (draw-lines chain (+ count 5) :seed seed) text)))

(defn [(pytest.mark.parametrize "chunk" [1 50 801])]
    test-chunks-do-not-change-the-text [monkeypatch chunk]
  (setv text (draw-lines (ab-chain) 1000 :seed 3))
  (monkeypatch.setattr markov "CHUNK" chunk)
  (assert (= (draw-lines (ab-chain) 1000 :seed 3) text)))

(defn test-one-seed-gives-these-bytes []
  ;; As drawn here on x86-64 with numpy 2.4; numpy promises the raw bits of PCG64 everywhere.
  (setv text (draw-lines (ab-chain) 10 :seed 1337))
  (assert (= text (cut (.read-text (/ DATA "ab.txt") :encoding "utf-8") 90)))
  (assert (!= text (draw-lines (ab-chain) 10 :seed 1338))))

(defn test-a-certain-last-character-is-never-passed []
  "Weights that sum to a little less than 1 never draw a character of weight 0."
  (setv third (/ 1 3)
        row   [(- third 1e-10) third third 0.0]
        limit (markov.thresholds row))
  (assert (= (cut (list limit) 2 None) [1.0 1.0]))
  (assert (not-in "d" (draw-lines (Chain "abcd" row (* [row] 4) 50) 2000 :seed 0))))

(defn [(pytest.mark.parametrize "count" [0 -1 1.5])] test-no-lines [count]
  (with [_ (refused "--lines")]
    (draw-lines (ab-chain) count :seed 1)))

(defn test-too-many-lines []
  (with [_ (refused "1000000000 lines of 8" "--lines 111111111 or fewer")]
    (draw-lines (ab-chain) 1,000,000,000 :seed 1))
  (with [_ (refused "--lines 1999 or fewer")]
    (draw-lines (ab-chain :length 500,000) 2000 :seed 1)))

(defn test-as-many-lines-as-may-be [monkeypatch]
  (monkeypatch.setattr markov "MOST_CHARACTERS" 98)
  (assert (= (len (draw-lines (ab-chain) 10 :seed 1)) 90))
  (with [_ (refused "--lines 10 or fewer")]
    (draw-lines (ab-chain) 11 :seed 1)))

(defn test-no-such-seed []
  (with [_ (refused "--seed is -1")]
    (draw-lines (ab-chain) 1 :seed -1)))

(defn test-drawn-frequencies []
  (setv text  (draw-lines (ab-chain) 100,000 :seed 2)
        lines (.split text "\n"))
  (assert (= (.pop lines) ""))
  (assert (= (len lines) 100,000))
  (for [[line p] (.items (line-probabilities (ab-chain)))]
    ;; Within 5 standard deviations.
    (assert (< (abs (- (.count lines (cut line -1)) (* 100,000 p))) (* 5 (** (* 100,000 p) 0.5)))))
  (assert (not-in "ba" text)))


;;; What a chain must be

(setv GOOD {"chars" "ab"  "start" [0.5 0.5]  "transitions" [[0.5 0.5] [0 1]]  "line_length" 3})

(defn [(pytest.mark.parametrize
         "key, value, words"
         [#("chars" "" "needs characters") #("chars" None "needs characters")
          #("chars" "a\n" "newline") #("chars" "aa" "'a' stands twice")
          #("chars" "a\ud800" "half a character") #("chars" "a\udc00" "half a character")
          #("chars" "a\udfff" "half a character")
          #("start" [1] "1 weights for 2") #("start" [0.5 0.4] "sum to 0.9")
          #("start" [-0.5 1.5] "'a' the weight -0.5") #("start" ["0.5" 0.5] "weight '0.5'")
          #("start" [True False] "weight True") #("start" [(float "nan") 1] "weight nan")
          #("start" 1 "a list of weights")
          #("start" [0.5 0.500000002] "sum to")
          #("transitions" [[0.5 0.5]] "1 rows for 2") #("transitions" "ab" "a list of weights")
          #("transitions" [[0.5 0.5] 1] "the row after 'b'")
          #("transitions" [[0.5 0.5] [0 0]] "the row after 'b' sum to 0")
          #("line_length" 0 "line length is 0") #("line_length" 2.0 "line length is 2.0")
          #("line_length" True "line length is True")
          #("line_length" (** 10 9) "line length is 1000000000")
          #("chars" (* "a" 1001) "1001 characters is too large")
          #("chars" (* "\U00010000" (** 10 6)) "is too large")
          #("start" (* "x" 1000) "xxx...: give")])]
    test-no-chain [key value words]
  (with [_ (refused words)]
    (Chain #** {#** GOOD key value})))

(defn test-the-largest-chains []
  (for [[chars length] [[(* "x" 1000) 1000] ["ab" 500,000]]]
    (markov.check-size chars length)
    (with [_ (refused f"the line length is {(+ length 1)}" f"use at most {length}")]
      (markov.check-size chars (+ length 1)))))

(defn test-a-number-too-long-to-be-printed-is-no-chains []
  (with [_ (refused "line length is a number of thousands of digits, more than")]
    (Chain #** {#** GOOD "line_length" (** 10 5000)})))

(defn test-a-chain-is-a-value []
  (setv chain (Chain #** GOOD))
  (assert (= chain (Chain "ab" (np.array [0.5 0.5]) (np.array [[0.5 0.5] [0 1]]) (np.int64 3))))
  (assert (= (len #{chain (replace chain) (replace chain :line-length 4)}) 2))
  (with [_ (pytest.raises FrozenInstanceError)]
    (setv chain.chars "cd")))

(defn test-no-ab-chain []
  (for [stay [-0.1 1.1 "x"]]
    (with [_ (refused "--stay" "0 to 1")]
      (ab-chain :stay stay)))
  (with [_ (refused "cannot start with 'c'")]
    (ab-chain :start "c")))


(defn test-neither-torch-nor-hyrule-is-loaded []
  (setv code (+ "import hy, sys, nanogpt_hy.lab.data.counting, nanogpt_hy.lab.data.chain_files; "
                "print([m for m in ('torch', 'hyrule') if m in sys.modules])")
        ;; The first run may have to compile, which loads hyrule; the second does not.
        outs (lfor  _ (range 2)  (. (subprocess.run [sys.executable "-c" code] :capture-output True
                                                  :text True :check True
                                                  :env (| (dict os.environ)
                                                          {"PYTHONDONTWRITEBYTECODE" ""}))
                                  stdout)))
  (assert (= (get outs -1) "[]\n")))
