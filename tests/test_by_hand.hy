"Attention by hand: the numbers are those that the model used, and a pencil finds the same."

(import  io [StringIO]
         math [exp sqrt]
         re
         pytest
         rich.console [Console]
         torch
         chains [refused]
         subjects [small small-run]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [attend causal Head Heads]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.data.tokenizers [tokenizer-from]
         nanogpt-hy.lab.handmade [handmade]
         nanogpt-hy.lab.inside.attention [attention noted]
         nanogpt-hy.lab.inside.by-hand [attention-by-hand cell channel-label head-by-hand
                                        largest-difference number-text product-text]
         nanogpt-hy.lab.inside.inspect [inspect]
         nanogpt-hy.lab.inside.subject [Subject]
         nanogpt-hy.ladder [build-model STAGES])

(setv PROMPT "aabba"
      CHARS  (tokenizer-from {"kind" "char"  "chars" ["\n" "a" "b"]})
      TALK   (lfor  name STAGES
                    :if (not-in name ["bigram" "embedding" "position" "average"])
                    name))

(defn stage [name #** shape]
  "A small model of the stage NAME with weights large enough to tell its heads apart."
  (with [_ (torch.random.fork-rng)]
    (torch.manual-seed 5)
    (setv model (build-model name
                  (GPTConfig #** (| (dict :vocab-size 3 :block-size 8 :n-layer 2 :n-head 2
                                          :n-embd 8)
                                    shape)))))
  (for [weight (.parameters model)]
    (setv weight.data (* 4 weight.data)))
  #((.eval model) CHARS))

(defn printed [trained prompt * [width 80] #** which]
  "What `inspect attention --by-hand` prints, and its numbers."
  (setv out  (StringIO)
        work (attention-by-hand trained prompt #** which
                                :console (Console :file out :width width :color-system None)))
  #((.getvalue out) work))

(defn near [x y [within 1e-5]]
  (torch.testing.assert-close x y :rtol 1e-4 :atol within))

(defn plain [work]
  "ByHand -> rows of numbers: its mix, worked out as one does on paper."
  (setv [q k v] (lfor  x [work.q work.k work.v]  (.tolist x))
        rows    [])
  (for [t (range (len q))]
    (setv scores (lfor  s (range (+ t 1))
                        (/ (sum (gfor  [x y] (zip (get q t) (get k s))  (* x y))) work.root))
          powers (lfor  x scores  (exp (- x (max scores))))
          shares (lfor  p powers  (/ p (sum powers))))
    (.append rows (lfor  c (range (len (get v 0)))
                         (sum (gfor  [s share] (enumerate shares)  (* share (get v s c)))))))
  rows)


;;; The numbers

(defn [(pytest.mark.parametrize "name" TALK)] test-pencil-kernel-and-model-agree [name]
  (setv trained (stage name)
        seen    (attention trained PROMPT))
  (for [layer (get seen "layers")
        head  (get layer "heads")]
    (setv work (head-by-hand trained PROMPT :layer (get layer "layer") :head (get head "head")))
    (near work.mix work.given)
    (near work.mix work.fused)
    (near work.mix (torch.tensor (plain work)))
    (near work.weights (torch.tensor (get head "weights")))
    (assert (= work.tokens (tuple PROMPT)))
    (assert (= (len work.tags) (len work.told) (get work.q.shape -1)))))

(defn [(pytest.mark.parametrize "name" ["gpt" "fast"])] test-the-lectures-slip-is-in-it [name]
  "With --scale n-embd scores are divided by the root of that, as the model does it."
  (setv [said work] (printed (stage name :scale "n-embd") PROMPT :layer 2 :head 2))
  (near work.mix work.given)
  (near work.mix (torch.tensor (plain work)))
  (assert (= work.root (if (= name "fast") (sqrt 8) 2)))
  (assert (in (if (= name "fast") "scores / 2.83, the root of n-embd"
                                  "scores / 2, the root of the head size") said)))

(defn test-heads-differ-and-are-counted-from-1 []
  (setv trained (stage "gpt")
        works   (lfor  layer [1 2]  head [1 2]
                       (head-by-hand trained PROMPT :layer layer :head head))
        [model _] trained
        groups  (lfor  part (.modules model)  :if (isinstance part Heads)  part.heads))
  (for [[i work] (enumerate works)]
    (setv head (get groups (// i 2) (% i 2)))
    (assert (= #(work.layer work.head) #((+ 1 (// i 2)) (+ 1 (% i 2)))))
    (with [seen (noted model)]
      (model (torch.tensor [(.encode CHARS PROMPT)])))
    (near work.q (get (get seen head.query) 1 0))
    (for [other (cut works i)]
      (assert (not (torch.allclose work.q other.q))))))

(defn test-the-course-says-the-same []
  (setv work (head-by-hand (stage "head") PROMPT))
  (near work.mix (attend work.q work.k work.v :mask (causal 5)))
  (near (.sum work.weights :dim -1) (torch.ones 5))
  (assert (torch.equal (torch.isinf work.masked) (bnot (causal 5)))))

(defn test-no-hook-stays-and-modes-do []
  (setv [model tokenizer] (stage "gpt"))
  (.train model)
  (head-by-hand #(model tokenizer) PROMPT)
  (assert model.training)
  (assert (not (any (gfor  part (.modules model)  part._forward-hooks)))))

(defn test-handmade-numbers-are-small-and-whole []
  (setv work (head-by-hand (handmade "aab") "aab"))
  (near work.q (torch.tensor [[90.0 0 0 0 0 0 0 0 0] [90 0 0 0 0 0 0 0 0] [0 90 0 0 0 0 0 0 0]])
        1e-3)
  (near work.scores (torch.tensor [[90.0 0 0] [90 0 0] [0 90 0]]) 1e-3)
  (near work.scaled (torch.tensor [[30.0 0 0] [30 0 0] [0 30 0]]) 1e-3)
  (near work.weights (torch.tensor [[1.0 0 0] [1 0 0] [0 1 0]]))
  (assert (= work.root 3))
  (assert (= (cut work.tags 3) #("at 0" "at 1" "at 2")))
  (assert (= (cut work.told 3) #("now a" "now b" "3"))))

(defn test-names-in-a-strangers-file-are-only-names []
  (setv made (handmade "aab"))
  (for [wrong [{} 7 {"heads" 7} {"heads" []} {"heads" [{"tags" "xyz"  "told" [1 2]}]}
               {"heads" [{"tags" (* ["x"] 50)  "told" {}}]}]]
    (setv work (head-by-hand (Subject made.model made.tokenizer 5 "it" {"handmade" wrong}) "aab"))
    (assert (= (len work.tags) (len work.told) 9))
    (assert (in (get work.tags 0) ["1" "x"]))))

(defn test-names-are-those-of-the-first-layer []
  (setv [model tokenizer] (stage "gpt")
        made  {"handmade" {"heads" [{"tags" ["x"]  "told" ["y"]}]}}
        names (fn [layer]
                (setv work (head-by-hand (Subject model tokenizer 8 "it" made) PROMPT
                                         :layer layer))
                [(get work.tags 0) (get work.told 0)]))
  (assert (= (names 1) ["x" "y"]))
  (assert (= (names 2) ["1" "1"])))


;;; What is printed

(defn test-aab-on-paper []
  (setv [text _] (printed (handmade "aab") "aab")
        lines    (lfor  line (.splitlines text)  (.rstrip line)))
  (for [wanted ["    at 0  at 1"
                " a    90     0"
                "row 3 (b), column 2 (a): 90 x 1 = 90"
                "row 3 (b), column 2 (a): 90 / 3 = 30"
                " a  30     0  -inf"
                "row 3 (b), column 2 (a): e^30 / (e^0 + e^30 + e^0) = 1"
                "row 3 (b), channel now a: 1 x 1 = 1"]]
    (assert (in wanted lines)))
  (assert (in "the largest difference is 0." (.join " " (.split text)))))

(defn test-each-step-has-its-table []
  (setv [text _] (printed (stage "gpt") PROMPT :layer 2 :head 1)
        titles (re.findall r"(?m)^(\d)\. (\w+)" text))
  (assert (= titles [#("1" "q") #("2" "k") #("3" "scores") #("4" "scaled") #("5" "mask")
                     #("6" "softmax") #("7" "v") #("8" "mix")])))

(defn [(pytest.mark.parametrize "shape" [{"n_embd" 8} {"n_embd" 128 "n_head" 1}])]
    test-it-fits-80-columns [shape]
  (setv [text work] (printed (stage "gpt" :block-size 9 #** shape) "aabb\nabab"))
  (assert (= (len work.tokens) 9))
  (assert (<= (max (map len (.splitlines text))) 80))
  (assert (in "↵" text))
  (assert (not-in "…" text)))

(defn test-a-printed-table-holds-the-numbers []
  (setv [text work] (printed (stage "gpt") PROMPT)
        part (get (re.search r"(?s)3\. scores.*?─ *\n(.*?)\n\s*\n" text) 1)
        rows (lfor  line (.splitlines part)  (list (map float (cut (.split line) 1 None)))))
  (torch.testing.assert-close (torch.tensor rows) work.scores :rtol 0 :atol 0.00501))

(defn test-colours-for-those-who-see-them []
  (setv out (StringIO))
  (attention-by-hand (handmade "copy") "ab" :layer None :head None
                     :console (Console :file out :width 80 :force-terminal True))
  (assert (in "\x1b[" (.getvalue out))))

(defn test-numbers-as-text []
  (assert (= (number-text 90.00001) "90"))
  (assert (= (number-text -0.25) "-0.25"))
  (assert (= (number-text (float "-inf")) "-inf"))
  (assert (= (cell -0.001 2) "0.00"))
  (assert (= (cell -0.0 0) "0"))
  (assert (= (channel-label "now \n") "now ↵"))
  (assert (= (product-text (torch.tensor [1.0 0 -2]) (torch.tensor [0.5 3 4]))
             "1 x 0.50 + (-2) x 4"))
  (assert (= (product-text (torch.ones 6) (torch.ones 6))
             "1 x 1 + 1 x 1 + 1 x 1 + 1 x 1 + 2 more"))
  (assert (= (product-text (torch.zeros 2) (torch.ones 2)) "0")))


;;; Wrong requests

(defn [(pytest.mark.parametrize #("name" "prompt" "which" "words") [
        #("gpt"     "aabbaabbaa" {}            "more than the 9 that can be worked out by hand")
        #("gpt"     (* "ab" 10)  {}            "the prompt has 20 tokens")
        #("gpt"     ""           {}            "the prompt is empty")
        #("gpt"     "axe"        {}            "never saw")
        #("gpt"     "aab"        {"layer" 3}   "--layer is 3 and the model has 2")
        #("fast"    "aab"        {"head" 3}    "--head is 3 and the model has 2")
        #("bigram"  "aab"        {}            "no head with queries and keys")
        #("average" "aab"        {}            "no head with queries and keys")])]
      test-wrong-requests [name prompt which words]
  (with [_ (pytest.raises RequestError :match words)]
    (head-by-hand (stage name :block-size 16) prompt #** which)))

(defn [(pytest.mark.parametrize "part" ["query" "value"])] test-numbers-that-are-none [part]
  (setv [model tokenizer] (stage "head")
        head (next (gfor  m (.modules model)  :if (isinstance m Head)  m)))
  (.fill_ (. (getattr head part) weight data) (float "inf"))
  (with [_ (pytest.raises WorkError :match "too large to be shown")]
    (head-by-hand #(model tokenizer) PROMPT)))

(defn test-what-the-model-cannot-see-is-left-out []
  (setv work (head-by-hand (stage "gpt" :block-size 4) "bbbbbbbbbaab\n"))
  (assert (= work.tokens #("a" "a" "b" "↵"))))

(defn test-the-largest-difference []
  (assert (= 3 (largest-difference (torch.zeros 1 2) (torch.tensor [[1.0 2.0]])
                                   (torch.tensor [[0.0 -3.0]])))))

(defn test-the-mix-that-is-worked-out-comes-to-its-sum []
  (setv out  (StringIO)
        work (attention-by-hand (small "gpt") "ab\n"
                                :console (Console :file out :width 80 :color-system None))
        line (.join " " (.split (get (re.search r"(?s)channel \d+: (.*?) = " (.getvalue out)) 1)))
        sum  0)
  (for [[a b] (re.findall r"\(?(-?[\d.]+)\)? x \(?(-?[\d.]+)\)?" line)]
    (setv sum (+ sum (* (float a) (float b)))))
  (setv last (get work.mix -1))
  (assert (= sum (pytest.approx (float (get last (.argmax (.abs last)))) :abs 0.05))))

(defn test-there-is-no-minus-zero []
  (assert (= (number-text -0.004) "0.00")))

(defn test-by-hand-writes-no-file [tmp-path]
  (setv trained (small-run tmp-path))
  (for [[kind value] [["png" (/ tmp-path "x.png")] ["html" (/ tmp-path "x.html")] ["as_json" True]]]
    (with [_ (refused "--by-hand")]
      (inspect "attention" :ckpt trained.path.parent :by-hand True #** {kind value}))))
