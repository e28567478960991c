"The counting model: plain loops say the same, and a long text comes to its chain's floors."

(import  dataclasses [replace]
         math [isinf log]
         pathlib [Path]
         pytest
         hypothesis [given settings strategies :as st]
         chains [ids-of near refused]
         nanogpt-hy.lab.data.corpus [read-corpus]
         nanogpt-hy.lab.data.counting [count-loss counting-losses]
         nanogpt-hy.lab.data.markov [Chain ab-chain draw-lines floor])

(defn counted [train ids V order smoothing]
  "The same loss in plain loops."
  (setv known (lfor  i (range (- (len train) order)) (tuple (cut train i (+ i order 1))))
        runs  (lfor  i (range (- (len ids) order)) (tuple (cut ids i (+ i order 1)))))
  (/ (sum (gfor  run runs
                :setv context (lfor  r known :if (= (cut r -1) (cut run -1)) r)
                (log (/ (+ (len context) (* smoothing V)) (+ (.count known run) smoothing)))))
     (len runs)))

(defn [(settings :max-examples 60 :deadline None)
       (given (st.lists (st.integers 0 3) :min-size 4 :max-size 30)
              (st.lists (st.integers 0 3) :min-size 4 :max-size 30)
              (st.integers 0 3) (st.sampled-from [0.01 0.1 1 2.5]))]
    test-counting-is-what-plain-loops-give [train ids order smoothing]
  (assert (near (count-loss train ids 4 order :smoothing smoothing)
                (counted train ids 4 order smoothing))))

(defn test-counting-without-smoothing []
  (assert (near (count-loss [0 1 0 1 0] [0 1 0 1] 2 1 :smoothing 0) 0))
  (assert (near (count-loss [0 0 1] [0 0 1] 2 1 :smoothing 0) (log 2)))
  (assert (isinf (count-loss [0 0 0] [0 1] 2 1 :smoothing 0)))        ; a token never seen there
  (assert (isinf (count-loss [0 0 0] [1 0] 2 1 :smoothing 0)))        ; a context never seen
  (assert (near (count-loss [0 0 0] [1 0] 2 1) (log 2))))             ; smoothed, it knows nothing

(defn test-counting-what-cannot-be-counted []
  (for [[args words] [[[[0 1] [0 1 0] 2 2] "2 tokens are too few"]
                      [[[0 1 0] [0] 2 1] "1 tokens are too few"]
                      [[[] [] 2 0] "0 tokens are too few"]
                      [[[0 2] [0 1] 2 1] "from 0 to 2"] [[[0 1] [-1 1] 2 1] "from -1 to 1"]
                      [[[0 1] [0 1] 2 -1] "order -1"] [[[0 1] [0 1] 65 12] "order from 0 to 9"]
                      [[[0 1] [0 1] 70,000 3] "order from 0 to 2"]]]
    (with [_ (refused words)]
      (count-loss #* args)))
  (for [smoothing [-0.1 (float "nan")]]
    (with [_ (refused f"the smoothing is {smoothing}")]
      (count-loss [0 1] [0 1] 2 1 :smoothing smoothing))))

(defn test-contexts-are-numbers-of-63-bits []
  (setv train (* [0 0 1 1 1 0 1] 20)
        ids   (* [0 0 1 1 1 0 1 0] 10))
  (assert (near (count-loss train ids 2 62) (counted train ids 2 62 0.1)))
  (with [_ (refused "order 63 with a vocabulary of 2")]
    (count-loss train ids 2 63)))

(defn test-orders-that-a-short-part-lets-be-counted [root]
  (setv corpus (read-corpus (/ root "data" "ab.txt")))
  (for [n [1 2 3]]
    (assert (= (list (range n))
               (list (counting-losses (replace corpus :val (cut corpus.val n))))))))

(defn test-counting-tiny-shakespeare [shakespeare]
  "NUMBERS.md, Tiny Shakespeare: train MLE, and validation with add-0.1 smoothing."
  (setv ids   (ids-of (.decode (.read-bytes (Path shakespeare)) "utf-8"))
        n     (int (* 0.9 (len ids)))
        train (cut ids n)
        valid (cut ids n None))
  (for [[order mle smoothed] [[0 3.3091 3.3473] [1 2.4519 2.4838] [2 1.9032 2.0458]
                              [3 1.4906 1.7840]]]
    (assert (near (count-loss train train 65 order :smoothing 0) mle 0.0001))
    (assert (near (count-loss train valid 65 order) smoothed 0.0001))))

(defn [(pytest.mark.parametrize
         "chain"
         [(ab-chain) (ab-chain :stay 0.9 :length 5)
          (Chain "xyz" [0.2 0.3 0.5] [[0.1 0.6 0.3] [0.5 0.0 0.5] [0.25 0.25 0.5]] 4)]
         :ids ["ab" "long-a" "xyz"])]
    test-counting-a-long-text-comes-to-the-floors [chain]
  (setv ids (ids-of (draw-lines chain 200,000 :seed 5))
        V   (+ (len chain.chars) 1))
  (for [k (range (+ chain.line-length 1))]
    (assert (near (count-loss ids ids V k :smoothing 0) (floor chain :context k) 0.002))))
